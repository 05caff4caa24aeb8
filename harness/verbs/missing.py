"""What a plan waits for, as `harness plan` shows it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.plan.cell import Waiting
from harness.plan.expand import Plan

WAITING = "waiting"
"""State of a cell that needs something which is not on this machine."""


def show_missing(console: Console, plan: Plan) -> None:
    """A table of what is missing with the cells that wait for it, then why and what to do."""
    if not plan.missing:
        return
    table = Table("missing on this machine", "cells that wait for it")
    for thing, cells in plan.missing.items():
        table.add_row(escape(thing.what), f"{cells:,}")
    console.print(table)
    console.print(f"{len(plan.waiting):,} cells wait; they are not in the estimated time")
    for reason in plan.reasons:  # not in the table: commands are there to be copied
        console.print(reason, markup=False, soft_wrap=True)


def waiting_row(cell: Waiting) -> dict[str, Any]:
    """A waiting cell as `--json` prints it: no id, and what it needs."""
    return {
        "id": None,
        "state": WAITING,
        "label": cell.label,
        "dataset": cell.dataset,
        "shots": cell.shots,
        "seed": cell.seed,
        "estimated_seconds": None,
        "identity": cell.identity.plain,
        "missing": [
            {"what": need.what, "why": need.why, "remedy": need.remedy} for need in cell.needs
        ],
    }
