"""Run a plan: feed what is not done to an executor and keep every outcome as it comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from harness.executors.base import Event, Executor, Notice, Settings
from harness.plan.expand import Plan
from harness.plan.standing import Progress, progress
from harness.store.store import Contents, Store

KEPT = "kept as it is, and its cell is not run: upgrade, or name another folder with --results"


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    before: Progress
    """How the plan stood when the run began."""
    ran: int
    failed: int
    skipped: int


def survey(plan: Plan, store: Store) -> tuple[Progress, dict[str, str]]:
    """How a plan stands, and which of its cells' files are not read, by path and why.

    Changes nothing.
    """
    contents = store.load(cell.id for cell in plan.cells)
    corrupt, later = contents.corrupt.items(), contents.later.items()
    unread = {str(path): f"{why} (harness run sets it aside)" for path, why in corrupt}
    unread |= {str(path): f"{why}; {KEPT}" for path, why in later}
    return _standing(plan, store, contents), unread


def run_plan(
    plan: Plan,
    store: Store,
    executor: Executor,
    settings: Settings,
    on_event: Callable[[Event], None],
    on_notice: Callable[[str], None],
) -> Result:
    """Run the cells of a plan that are not done.

    Every outcome is on disk before the next event is read, so that a kill loses the cells in
    flight and no other. Corrupt result files are set aside, announced, and their cells run again;
    records of a later version are announced and left alone, and their cells do not run.

    Raises:
        OSError: a record could not be written (a full disk): the run stops, what was kept stays.
    """
    contents = store.load(cell.id for cell in plan.cells)
    for path, why in contents.corrupt.items():
        kept = store.quarantine(path)
        on_notice(f"{path}: {why}; moved to {kept}, and the cell runs again")
    for path, why in contents.later.items():
        on_notice(f"{path}: {why}; {KEPT}")
    before = _standing(plan, store, contents)
    ran = failed = skipped = 0
    if before.to_do:
        # Kept in the plan's order, so that cells of one data set stay together.
        to_do = {cell.id for cell in before.to_do}
        cells = [cell for cell in plan.cells if cell.id in to_do]
        with closing(executor.run(cells, settings)) as events:  # type: ignore[type-var]
            for event in events:
                if isinstance(event, Notice):
                    on_notice(event.message)
                    continue
                if event.outcome is not None:
                    store.write(event.outcome.record, event.outcome.kept)
                    ran += 1
                    failed += event.outcome.record.status == "failed"
                    skipped += event.outcome.record.status == "skipped"
                on_event(event)
    return Result(before, ran, failed, skipped)


def _standing(plan: Plan, store: Store, contents: Contents) -> Progress:
    missing = len(contents.records) < len(plan.cells)
    everything = store.all() if missing else contents  # stale cells are told by what else is there
    return progress(plan, contents, everything.records.values())
