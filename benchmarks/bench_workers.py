"""Two Ray workers of one thread each against serial with one thread, features cached.

A part of `suites/fewshot.yaml`: digits at 1 and 4 shots, zero-shot, CoOp and LoRA. Target: at
least 1.6 times faster once the workers are up. Starting them (Ray, and in each worker the imports
and the backbone) is timed by itself: it is the same for a suite of any size.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.executors.base import Settings
from harness.executors.make import make_executor
from harness.plan.cell import Cell
from harness.plan.expand import Plan, make_plan
from harness.plan.select import only
from harness.plan.suite import load_suite
from harness.run.prepared import Prepared
from harness.run.resources import Resources
from harness.store.record import Record

SUITE = Path(__file__).parents[1] / "suites" / "fewshot.yaml"
PART = ("dataset=digits", "shots=1,4", "method=zero_shot,coop,lora")


@dataclass
class Ran:
    total: float
    start_up: float
    """Until the first cell is finished, less what that cell took."""
    records: dict[str, Record]


def run(executor: str, workers: int, plan: Plan, cache: Path) -> Ran:
    settings = Settings(cache, workers=workers, threads=1, device="cpu")
    start, start_up, records = time.perf_counter(), 0.0, {}
    for event in make_executor(executor).run(plan.cells, settings):
        if event.kind != "finished" or event.outcome is None:
            continue
        record = event.outcome.record
        assert record.cost is not None, record.failure
        if not records:
            spent = record.cost.fit_seconds + record.cost.score_seconds
            start_up = time.perf_counter() - start - spent
        records[record.id] = record
    return Ran(time.perf_counter() - start, start_up, records)


def warm(cells: tuple[Cell, ...], cache: Path) -> None:
    """Compute the features that the cells use."""
    resources = Resources(cache, device="cpu")
    for cell in cells:
        (opened,) = Prepared(cell, resources).stages
        for evaluation in (opened.test, *(each.evaluation for each in opened.held_out.values())):
            evaluation.features()
        if cell.shots:
            support = opened.task().support
            assert len(support.features) == len(support)
            support.views(int(cell.config.get("views", 0)) or 1)


def test_two_workers(benchmark: Any, capsys: Any, tmp_path: Path) -> None:
    plan = only(make_plan(load_suite(SUITE)), PART)
    warm(plan.cells, tmp_path)
    serial = run("serial", 1, plan, tmp_path)
    ray = benchmark.pedantic(run, ("ray", 2, plan, tmp_path), rounds=1)
    same = [record.metrics == ray.records[i].metrics for i, record in serial.records.items()]
    assert len(same) == len(plan.cells) and all(same)
    one, two = serial.total - serial.start_up, ray.total - ray.start_up
    benchmark.extra_info.update(serial=one, ray=two, ratio=one / two, start_up=ray.start_up)
    with capsys.disabled():
        print(
            f"\n{len(plan.cells)} cells of fewshot: serial {one:.1f} s, two workers {two:.1f} s, "
            f"{one / two:.2f}×, target 1.6×; start-up {serial.start_up:.1f} s and "
            f"{ray.start_up:.1f} s on top"
        )
