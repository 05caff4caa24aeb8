"""`harness plan` and `status`: what there is to run, how far it is."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.backbones.spec import BackboneSpec
from harness.executors.runner import survey
from harness.features.threads import cores
from harness.plan.estimate import Estimator
from harness.plan.expand import Plan, outline
from harness.plan.gpu_hours import TFLOPS, gpu_hours
from harness.plan.select import only as restrict
from harness.plan.standing import Progress
from harness.plan.suite import load_suite
from harness.plan.suite_schema import suite_schema
from harness.store.store import Store
from harness.verbs.live import duration
from harness.verbs.missing import WAITING, show_missing, waiting_row
from harness.verbs.skipped import show_skipped

STATES = ("done", "failed", "stale", "new")
SKIPPED = "skipped"
"""State of a cell that its method cannot run on."""
LATER = "later"
"""State of a cell whose record a later version wrote."""


def show_plan(
    suite: Path,
    results: Path,
    workers: int | None,
    tflops: float | None,
    as_json: bool,
    only: tuple[str, ...],
) -> int:
    """Print the cells, the estimated time, and what is missing on this machine; always 0."""
    plan = restrict(outline(load_suite(suite)), only)
    store = Store(results)
    standing, unread = survey(plan, store)
    estimator = Estimator(store.all().records.values())
    state = {c.id: name for name in (*STATES, SKIPPED, LATER) for c in getattr(standing, name)}
    if as_json:
        rows = [
            {
                "id": cell.id,
                "state": state[cell.id],
                "label": cell.label,
                "dataset": cell.dataset,
                "shots": cell.shots,
                "seed": cell.seed,
                "estimated_seconds": estimator.cell(cell),
                "identity": cell.identity.plain,
            }
            for cell in plan.cells
        ]
        print(json.dumps([*rows, *map(waiting_row, plan.waiting)], indent=1))
        return 0
    console = Console(highlight=False)
    states = [(cell.label, cell.dataset, state[cell.id]) for cell in plan.cells]
    states += [(cell.label, cell.dataset, WAITING) for cell in plan.waiting]
    _show_counts(console, suite, states)
    workers = workers or cores()
    _show_data(console, plan)
    console.print(_to_run(plan, standing, estimator, workers), soft_wrap=True)
    _show_gpu_hours(console, plan, tflops)
    for note in backbone_notes(plan.suite.suite.backbone):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    show_skipped(console, standing.skipped, store)
    show_missing(console, plan)
    _show_unread(console, unread)
    return 0


def _to_run(plan: Plan, standing: Progress, estimator: Estimator, workers: int) -> str:
    """How much there is to run here, and how long it takes."""
    if not plan.cells:
        return f"none of the {len(plan.waiting):,} cells can run here: all of them wait (see below)"
    if not standing.to_do:
        others = f"; {len(plan.waiting):,} wait" if plan.waiting else ""
        return f"nothing to run here: every cell that can run has{others}"
    seconds = estimator.total(standing.to_do, workers)
    time = _unknown(plan) if seconds is None else f"about {duration(seconds)}"
    return f"{len(standing.to_do):,} cells to run; with {workers} worker(s): {time}"


def _show_data(console: Console, plan: Plan) -> None:
    """What each data set was read as: a line, and one more where there is more to say."""
    from harness.datasets.reading import read_as

    for data in plan.data:
        reading = read_as(data)
        console.print(f"{data.name}: {reading.size}", markup=False, soft_wrap=True)
        if reading.notes:
            console.print(f"    {'; '.join(reading.notes)}", markup=False, soft_wrap=True)


def backbone_notes(spec: BackboneSpec) -> tuple[str, ...]:
    """What its records will say of an open_clip model; nothing where its weights are not here."""
    from harness.backbones.weights import is_open_clip

    if spec.features is not None or not is_open_clip(spec):
        return ()
    from harness.backbones.load import architecture
    from harness.backbones.notes import notes_of

    return notes_of(spec, architecture(spec)[1])


def _unknown(plan: Plan) -> str:
    glyphs = plan.suite.suite.backbone.model == "glyphs"
    first = "the suite calibration" if glyphs else "a few of its cells, with --only,"
    return f"unknown: too little has run here on this backbone; run {first} first"


def _show_counts(console: Console, suite: Path, cells: list[tuple[str, str, str]]) -> None:
    """One row per method and data set: how many cells are in each state."""
    there = {state for *_, state in cells}
    columns = [*STATES, *(state for state in (SKIPPED, LATER, WAITING) if state in there)]
    table = Table("method", "data set", "cells", *columns, title=f"{suite}: {len(cells)} cells")
    groups: dict[tuple[str, str], list[str]] = {}
    for label, dataset, state in cells:
        groups.setdefault((label, dataset), []).append(state)
    for (label, dataset), states in groups.items():
        counts = [str(states.count(name) or "·") for name in columns]
        table.add_row(escape(label), escape(dataset), str(len(states)), *counts)
    console.print(table)


def _show_gpu_hours(console: Console, plan: Plan, tflops: float | None) -> None:
    """For all cells, done or not, on a GPU that need not be this machine's; silent for glyphs."""
    rate = tflops or TFLOPS[plan.suite.suite.precision]
    hours = gpu_hours(plan, rate)
    if hours is not None:
        whose = "as asked" if tflops else "assumed; --tflops to change"
        console.print(
            f"all {len(plan.every):,} cells on one GPU: about {hours:,.1f} hours of encoder "
            f"passes, at {rate:g} TFLOP/s sustained ({whose})"
        )


def show_status(suite: Path, results: Path, only: tuple[str, ...]) -> int:
    """Print counts and the reasons of failures; 1 where failed cells remain."""
    plan = restrict(outline(load_suite(suite)), only).whole()
    store = Store(results)
    standing, unread = survey(plan, store)
    console = Console(highlight=False, soft_wrap=True)
    states = [*STATES, *(name for name in (SKIPPED, LATER) if getattr(standing, name))]
    counts = ", ".join(f"{len(getattr(standing, name))} {name}" for name in states)
    console.print(f"{suite}: {len(plan.cells)} cells: {counts}", markup=False)
    show_skipped(console, standing.skipped, store)
    _show_failures(console, plan, standing, store)
    _show_unread(console, unread)
    return 1 if standing.failed or unread else 0


def _show_failures(console: Console, plan: Plan, standing: Progress, store: Store) -> None:
    failures = store.load(cell.id for cell in standing.failed).failures
    for cell in standing.failed:
        failure = failures[cell.id].failure
        assert failure is not None
        path = store.failures / f"{cell.id}.json"
        console.print(f"failed: {cell}: {failure.kind}: {failure.message}", markup=False)
        console.print(f"        traceback in {path}", markup=False)


def _show_unread(console: Console, unread: dict[str, str]) -> None:
    for path, why in unread.items():
        console.print(f"not read: {path}: {why}", markup=False)


def show_schema() -> int:
    """Print the JSON schema of suite files."""
    print(json.dumps(suite_schema(), indent=1, ensure_ascii=False))
    return 0
