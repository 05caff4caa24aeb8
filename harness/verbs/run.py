"""`harness run`: what is not done of a suite, in parallel, then the report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.errors import HarnessError
from harness.executors.base import Settings
from harness.executors.make import make_executor
from harness.executors.runner import run_plan, survey
from harness.features.threads import cores
from harness.plan.estimate import Estimator
from harness.plan.expand import outline
from harness.plan.select import only as restrict
from harness.plan.suite import load_suite
from harness.store.store import Store
from harness.verbs.folders import report_folder
from harness.verbs.live import Live, duration
from harness.verbs.report import report_parts, write_report
from harness.verbs.skipped import cells_of, show_skipped


def run_suite(
    suite: Path,
    results: Path,
    executor: str,
    workers: int | None,
    threads: int,
    device: str,
    search: str,
    address: str | None,
    out: Path | None,
    only: tuple[str, ...],
) -> int:
    """Run, report, and return the exit status: 1 where failed cells remain."""
    from harness.backbones.load import preflight

    plan = restrict(outline(load_suite(suite)), only).whole()
    store = Store(results)
    workers = _workers(executor, workers, threads, search, address)
    preflight(plan.cells[0].backbone_spec, device, plan.suite.suite.precision)
    report_parts(plan.suite)  # a part that is not there is said before hours of running
    runner = make_executor(executor)
    minutes = plan.suite.suite.limit.minutes_per_cell
    settings = Settings(
        store.cache,
        workers,
        threads,
        device,
        address,
        tune=search == "tune",
        limit_seconds=minutes and minutes * 60,
    )
    console = Console()
    standing, _ = survey(plan, store)
    # From whatever has run here, such as suites/calibration.yaml; a finished suite needs nothing.
    estimator = Estimator(store.all().records.values() if standing.to_do else ())
    states = ("done", "stale", "failed", *(["skipped"] if standing.skipped else []))
    counts = ", ".join(f"{len(getattr(standing, name))} {name}" for name in states)
    console.print(
        f"{suite}: {len(plan.cells)} cells ({counts}); {len(standing.to_do)} to run "
        f"with {executor}, {workers} × {threads} thread(s)",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    with Live(console, standing.to_do, estimator, workers) as live:
        result = run_plan(plan, store, runner, settings, live.event, live.notice)
        live.notice(
            f"{cells_of(result.ran)} run in {duration(live.seconds)}: "
            f"{result.failed} failed, {result.skipped} skipped"
        )
        show_skipped(console, plan.cells, store)
    return write_report(plan, store, out or report_folder(plan, store, only), console)


def _workers(
    executor: str, workers: int | None, threads: int, search: str, address: str | None
) -> int:
    """How many cells run at a time.

    Raises:
        HarnessError: options that contradict each other, or more than this machine has; what a
            cluster has, it says itself.
    """
    if executor == "serial" and (workers or address):
        raise HarnessError("--workers and --address are for --executor ray")
    if search == "tune" and executor != "ray":
        raise HarnessError("--search tune needs --executor ray")
    for option, asked in (("--threads", threads), ("--workers", workers or 1)):
        if address is None and asked > cores():
            raise HarnessError(f"{option} {asked}: this machine has {cores()} core(s) for it")
    return 1 if executor == "serial" else workers or max(1, cores() // threads)
