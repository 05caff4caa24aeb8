"""How a plan stands: which of its cells are done, failed, stale or new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.plan.cell import Cell, same_settings, slot_of
from harness.plan.expand import Plan
from harness.store.identity import Identity
from harness.store.record import Record
from harness.store.store import Contents


@dataclass(frozen=True)
class Progress:
    """Which cells of a plan are done, failed, stale (what they depend on has changed: a method's
    source, weights, data) or new (also where only other settings have been run); which were
    skipped, as their method cannot run on them; and which have a record of a later version, which
    is not to be run over."""

    done: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    stale: tuple[Cell, ...]
    new: tuple[Cell, ...]
    skipped: tuple[Cell, ...] = ()
    later: tuple[Cell, ...] = ()

    @property
    def to_do(self) -> tuple[Cell, ...]:
        return self.failed + self.stale + self.new


def progress(plan: Plan, contents: Contents, everything: Iterable[Record] = ()) -> Progress:
    """Sort a plan's cells by what the store holds.

    Args:
        contents: the store's records of exactly these cells.
        everything: all of the store's records, to tell stale cells from new ones.
    """
    unread = {path.stem for path in contents.later}
    done: list[Cell] = []
    skipped: list[Cell] = []
    failed, later, rest = [], [], []
    for cell in plan.cells:
        if cell.id in contents.records and not _lacks_logits(cell, contents):
            numbers = contents.records[cell.id].status == "ok"
            (done if numbers else skipped).append(cell)
        elif cell.id in unread:
            later.append(cell)
        elif cell.id in contents.failures:
            failed.append(cell)
        else:
            rest.append(cell)
    stale, new = _stale_and_new(rest, everything)
    return Progress(*map(tuple, (done, failed, stale, new, skipped, later)))


def _stale_and_new(
    cells: Sequence[Cell], everything: Iterable[Record]
) -> tuple[list[Cell], list[Cell]]:
    """Cells that are stored with the same settings but something else beneath them; the others."""
    there: dict[tuple[Any, ...], list[Identity]] = {}
    for record in everything if cells else ():
        there.setdefault(slot_of(record.label, record.identity), []).append(record.identity)
    stale: list[Cell] = []
    new: list[Cell] = []
    for cell in cells:
        alike = any(same_settings(cell.identity, other) for other in there.get(cell.slot, ()))
        (stale if alike else new).append(cell)
    return stale, new


def _lacks_logits(cell: Cell, contents: Contents) -> bool:
    """Whether a finished cell must run again because its logits are asked for and were not kept."""
    finished = contents.records[cell.id].status == "ok"
    return cell.keep_logits and finished and cell.id not in contents.logits
