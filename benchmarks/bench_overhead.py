"""What the harness takes beside the work itself: per cell, to start, to plan, to resume, to report.

Overhead of a cell is its wall time in the executor less its fit and score seconds, on a warm
worker: the cell is drawn, its task built, its features opened, its metrics and record made (and,
under Ray, all of it sent to and fro). Writing the record, synced to disk, is timed by itself.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from against_target import report
from rich.console import Console

from harness.executors.base import Settings
from harness.executors.make import make_executor
from harness.executors.runner import run_plan
from harness.plan.expand import Plan, make_plan
from harness.plan.standing import progress
from harness.plan.suite import load_suite
from harness.run.provenance import provenance
from harness.store.record import Cost, Draw, Record, Retention
from harness.store.store import Store
from harness.verbs.report import write_report

SMALL = """\
backbone: glyphs
datasets: [digits]
shots: [1, 4]
seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
retention: [letters]
augment: {scale: [0.8, 1.0], flip: false}
methods: [zero_shot, {name: tip_adapter, config: {alpha: [0.5, 1.0, 2.0]}}]
"""
WARM_UP = 20
"""Cells: every draw's features have been opened once, and the backbone is loaded."""

LARGE = f"""\
backbone: glyphs
datasets: [digits, letters, greek, georgian, cards]
shots: [1, 2, 4, 8, 16]
seeds: {list(range(1, 51))}
retention: [glyph_names, digits, letters, greek, georgian, cards]
methods:
  - zero_shot
  - coop
  - clip_adapter
  - tip_adapter
  - {{name: lora, config: {{steps: [100, 200, 300, 400, 500]}}}}
"""


def plan_of(text: str, folder: Path) -> Plan:
    path = folder / "suite.yaml"
    path.write_text(text)
    return make_plan(load_suite(path))


@dataclass
class Ran:
    """The cells of a run on one worker, in order."""

    overhead: list[float]
    records: list[Record]


def run(executor: str, plan: Plan, cache: Path) -> Ran:
    ran, before = Ran([], []), time.perf_counter()
    settings = Settings(cache, workers=1, device="cpu")
    for event in make_executor(executor).run(plan.cells, settings):
        if event.kind != "finished":
            continue
        assert event.outcome is not None and event.outcome.record.cost is not None
        now, cost = time.perf_counter(), event.outcome.record.cost
        ran.overhead.append(now - before - cost.fit_seconds - cost.score_seconds)
        ran.records.append(event.outcome.record)
        before = time.perf_counter()
    return ran


@pytest.mark.parametrize(("executor", "target"), [("serial", 0.010), ("ray", 0.030)])
def test_cell(benchmark: Any, capsys: Any, tmp_path: Path, executor: str, target: float) -> None:
    plan, cache = plan_of(SMALL, tmp_path), tmp_path / "cache"
    run("serial", plan, cache)  # computes the features
    ran = benchmark.pedantic(run, (executor, plan, cache), rounds=1)
    warm = ran.overhead[WARM_UP:]
    store, writes = Store(tmp_path / "results"), []
    for record in ran.records:
        start = time.perf_counter()
        store.write(record)
        writes.append(time.perf_counter() - start)
    note = f"median of {len(warm)} cells, the slowest {1e3 * max(warm):.1f} ms; the first, cold, "
    note += f"{ran.overhead[0]:.2f} s; record to disk {1e3 * statistics.median(writes):.1f} ms"
    report(
        benchmark, capsys, f"overhead, {executor}, a cell", statistics.median(warm), target, note
    )


def test_help(benchmark: Any, capsys: Any) -> None:
    command = [sys.executable, "-m", "harness.cli", "--help"]
    benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True), rounds=5, warmup_rounds=1
    )
    report(benchmark, capsys, "harness --help", benchmark.stats["median"], 0.3)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A plan of ten thousand cells."""
    plan = plan_of(LARGE, tmp_path_factory.mktemp("large"))
    assert len(plan.cells) >= 10_000
    return plan


@pytest.fixture(scope="module")
def finished(large: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds a record of every cell of it."""
    root = tmp_path_factory.mktemp("finished")
    (root / "cells").mkdir()
    for number, cell in enumerate(large.cells):
        (root / "cells" / f"{cell.id}.json").write_text(made_up(cell, number).to_json())
    return root


def made_up(cell: Any, number: int) -> Record:
    """A record as `run_cell` makes them; only its numbers mean nothing."""
    gain = number % 97 / 10
    metrics = {"images": 500, "top1": 50 + gain, "per_class_mean": 50.0, "ece": 5.0}
    metrics |= {"zero_shot_top1": 50.0, "gain": gain, "lost": 3, "won": 3 + number % 97}
    return Record(
        id=cell.id,
        label=cell.label,
        identity=cell.identity,
        status="ok",
        metrics=metrics,
        retention={
            spec.name: Retention({**metrics, "top1": 50 - gain, "gain": -gain}, "rebind")
            for spec in cell.places[-1].held_out
        },
        cost=Cost(1 + gain, 0.2, 0.0, 0, 300.0, 1000),
        draw=Draw("0" * 64, "coop", cell.shots, "", 0) if cell.shots else None,
        chosen=dict(cell.config),
        provenance={**provenance(), "device": "cpu", "notes": []},
    )


def test_plan(benchmark: Any, capsys: Any, large: Plan) -> None:
    path = large.suite.path
    again = benchmark.pedantic(lambda: make_plan(load_suite(path)), rounds=3)
    assert [cell.id for cell in again.cells] == [cell.id for cell in large.cells]
    imports = "import time; start = time.perf_counter(); import torch; "
    code = imports + "print(time.perf_counter() - start)"
    alone = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    note = f"a process's first import of torch, {float(alone.stdout):.1f} s, comes on top"
    name = f"plan of {len(large.cells):,} cells"
    report(benchmark, capsys, name, benchmark.stats["median"], 1, note)


def test_resume(benchmark: Any, capsys: Any, large: Plan, finished: Path) -> None:
    """Plan, and find that nothing is left to do; the report is timed by itself."""
    notices: list[str] = []

    def resume() -> Any:
        plan, store = make_plan(load_suite(large.suite.path)), Store(finished)
        settings = Settings(store.cache)
        return run_plan(plan, store, make_executor("serial"), settings, print, notices.append)

    result = benchmark.pedantic(resume, rounds=3)
    assert result.ran == 0 and len(result.before.done) == len(large.cells) and not notices
    name = f"resume of {len(large.cells):,} finished cells"
    report(benchmark, capsys, name, benchmark.stats["median"], 3)


def test_report(benchmark: Any, capsys: Any, large: Plan, finished: Path, tmp_path: Path) -> None:
    """Records read, statistics, tables, plots and page, written to disk."""
    console = Console(file=io.StringIO())
    store = Store(finished)
    status = benchmark.pedantic(write_report, (large, store, tmp_path, console), rounds=1)
    assert status == 0 and not progress(large, store.load(c.id for c in large.cells)).to_do
    name = f"report of {len(large.cells):,} records"
    report(benchmark, capsys, name, benchmark.stats["median"], 10)
