"""Measures computed again from what was kept of finished cells, and whether their records agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.measure import Measure, MeasureError, Scored
from harness.plan.cell import Cell
from harness.run.kept import RETENTION, TEST, Kept, read_kept
from harness.run.measures import STANDARD
from harness.store.record import Record

ROUNDING = 1e-9
"""Another machine's arithmetic may differ in the last bits, not by more (percent points)."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """The cells that can be scored, with their records, and where their files lie."""

    cells: tuple[Cell, ...]
    records: dict[str, Record]
    folder: Path

    def sets(self) -> Iterator[tuple[Cell, str, Kept]]:
        """Every set that a cell was scored on, one file in memory at a time."""
        for cell in self.cells:
            for where, kept in read_kept(self.folder / f"{cell.id}.npz").items():
                yield cell, where, kept


def measured_again(found: Finished, asked: Sequence[Measure]) -> tuple[list[Row], list[str]]:
    """One row per cell and set, and in words where the record has another number."""
    rows, wrong = [], []
    for cell, where, kept in found.sets():
        rows.append({**_axes(cell, where), **_values(cell, kept.scored, asked), "cell_id": cell.id})
        record = found.records[cell.id]
        for one in {one.name: one for one in (*STANDARD, *asked)}.values():
            said = _said(record, where).get(one.name)
            again = _value(cell, kept.scored, one)
            new = one not in STANDARD and said is None
            if not new and not _same(said, again):
                wrong.append(f"{cell}: {where}: {one.name} is {said} in the record, {again} again")
    return rows, wrong


def _values(cell: Cell, scored: Scored, asked: Sequence[Measure]) -> Row:
    found = {one.name: _value(cell, scored, one) for one in asked}
    return {name: "" if value is None else value for name, value in found.items()}


def _value(cell: Cell, scored: Scored, one: Measure) -> float | None:
    try:
        return one(scored if one in STANDARD else scored.copy())
    except MeasureError as error:
        raise HarnessError(f"{cell}: {error}") from error


def _said(record: Record, where: str) -> dict[str, float]:
    """The record's numbers on a set."""
    if where == TEST:
        return record.metrics or {}
    retention = record.retention.get(where.removeprefix(RETENTION))
    return retention.metrics if retention else {}


def _same(said: float | None, again: float | None) -> bool:
    if said is None or again is None:
        return said is again
    return abs(said - again) <= ROUNDING


def _axes(cell: Cell, where: str) -> Row:
    return {
        "method": cell.label,
        "dataset": cell.dataset,
        "shots": cell.shots,
        "seed": cell.seed,
        "set": where.removeprefix(RETENTION) if where != TEST else cell.dataset,
    }


def rows_of(found: Finished, of: Callable[[Kept], Iterable[Row]]) -> Iterator[Row]:
    """The rows that `of` makes of every set, with where they belong."""
    for cell, where, kept in found.sets():
        axes = _axes(cell, where)
        for row in of(kept):
            yield axes | row
