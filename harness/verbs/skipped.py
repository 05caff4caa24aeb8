"""Cells that a method cannot run on: how many, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console

from harness.plan.cell import Cell
from harness.store.store import Store

SHOWN = 10
"""Reasons that are shown; the others are counted."""


def show_skipped(console: Console, cells: Iterable[Cell], store: Store) -> None:
    """A line for each row of the report and reason, the commonest first; nothing without any."""
    records = store.load(cell.id for cell in cells).records.values()
    reasons = Counter(
        (record.label, record.failure.message)
        for record in records
        if record.status == "skipped" and record.failure is not None
    )
    for (label, why), count in reasons.most_common(SHOWN):
        _say(console, f"skipped: {label}, {cells_of(count)}: {why}")
    others = reasons.most_common()[SHOWN:]
    if others:
        count = sum(count for _, count in others)
        _say(console, f"skipped: {cells_of(count)} for {len(others)} other reasons")


def cells_of(count: int) -> str:
    """`1 cell`, `2 cells`."""
    return f"{count} cell{'s' * (count != 1)}"


def _say(console: Console, message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)
