"""`harness report`: tables, plots and the page, from the store alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.plan.expand import Plan, outline
from harness.plan.select import only as restrict
from harness.plan.suite import SuiteFile, load_suite, located
from harness.store.store import Store
from harness.verbs.folders import report_folder

if TYPE_CHECKING:
    from harness.reports import Part


def report_suite(suite: Path, results: Path, out: Path | None, only: tuple[str, ...]) -> int:
    """Write the report; 1 where cells are missing, failed or corrupt, so that scripts notice."""
    plan = restrict(outline(load_suite(suite)), only).whole()
    store = Store(results)
    return write_report(plan, store, out or report_folder(plan, store, only), Console())


def write_report(plan: Plan, store: Store, folder: Path, console: Console) -> int:
    """Write the report of a plan and print its leaderboard; returns the exit status."""
    from harness.reports import build, leaderboard_text, load_published

    contents = store.load(cell.id for cell in plan.cells)
    for path, why in contents.corrupt.items():
        _say(console, f"{path}: {why}; counted as missing (harness run sets it aside and mends it)")
    for path, why in contents.later.items():
        _say(console, f"{path}: {why}; counted as missing")
    records = {**contents.failures, **contents.records}
    given = plan.suite.suite
    report = build(
        plan.cells,
        records,
        folder,
        given.name,
        given.description,
        load_published(plan.suite.path.parent / "published"),
        given.reference,
        report_parts(plan.suite),
    )
    _say(console, leaderboard_text(report))
    finished = len(contents.records)
    if finished < len(plan.cells):
        missing = len(plan.cells) - finished
        _say(console, f"{missing} of {len(plan.cells)} cells are missing; the tables mark it")
    _say(console, f"report: {folder / 'index.html'}")
    return 0 if finished == len(plan.cells) else 1


def report_parts(suite: SuiteFile) -> tuple[Part, ...]:
    """The parts that a suite names, made.

    Raises:
        HarnessError: one of them is not there or is none; with its line.
    """
    if not suite.suite.report.parts:
        return ()
    from harness.reports import find_part

    found = []
    for position, reference in enumerate(suite.suite.report.parts):
        with located(suite, ("report", "parts", position)):
            found.append(find_part(reference, suite.path.parent))
    return tuple(found)


def _say(console: Console, message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)
