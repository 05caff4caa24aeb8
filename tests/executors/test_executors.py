"""Serial, Ray and Ray Tune: equal records, and what becomes of cells whose worker fails."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest
from processes import descendants, listening
from running import ONE_SET, Run, numbers, with_plugin
from small_suite import MakePlan

from harness.errors import HarnessError
from harness.executors.base import Event, Settings
from harness.executors.make import make_executor
from harness.plan.methods import find_method
from harness.run.device_loss import DeviceLost
from harness.store.store import Store


def test_a_memory_fault_is_tried_once_more_at_the_end(plan_of: MakePlan, tmp_path: Path) -> None:
    config = f"{{path: {tmp_path / 'marker'}}}"
    run = Run(plan_of(with_plugin("OutOfMemoryOnce", config, ONE_SET)), tmp_path / "r")
    assert run.result.failed == 0
    assert run.retried() == ["MemoryError: too much"]


def test_serial_and_ray_give_the_same_records_bit_for_bit(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    text = ONE_SET + "  - {name: lora, config: {steps: 2}}\n  - {name: coop, config: {steps: 2}}\n"
    serial = Run(plan_of(text), tmp_path / "serial")
    ray = Run(plan_of(text), tmp_path / "ray", "ray", workers=2)
    assert ray.result.failed == 0
    assert most_at_once(serial.events) == 1 and most_at_once(ray.events) == 2
    assert numbers(ray.contents.records) == numbers(serial.contents.records)


def most_at_once(events: list[Event]) -> int:
    """How many cells were running at most, as the events tell it."""
    running, most = set(), 0
    for event in events:
        if event.kind == "started":
            running.add(event.cell.id)
        else:
            running.remove(event.cell.id)
        most = max(most, len(running))
    assert not running
    return most


def test_searching_by_ray_tune_finds_what_the_serial_search_finds(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    text = with_plugin("Chooser", text=ONE_SET).replace(
        "backbone: glyphs", "backbone: glyphs\nprotocol: val_search"
    )
    text += (
        "  - name: clip_adapter\n    config: {steps: 12, views: 2, ratio: 0.5}\n"
        "    search: {ratio: [0.2, 0.6], lr: [0.1, 1.0]}\n"
    )
    plan = plan_of(text).keep(lambda cell: cell.label in ("chooser", "clip_adapter"))
    serial = Run(plan, tmp_path / "serial")
    assert [len(serial.contents.records[cell.id].search) for cell in plan.cells][-1] == 4
    tuned = Run(plan, tmp_path / "tuned", "ray", workers=2, tune=True)
    assert tuned.contents.failures == {}
    assert numbers(tuned.contents.records) == numbers(serial.contents.records)


def test_a_ray_worker_that_dies_or_loses_its_gpu_is_replaced_and_its_cell_tried_again(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two attempts: the cell that dies once succeeds, the one that loses two GPUs fails alone.

    Whatever ran in the worker after it would fail too, were it not replaced.
    """
    monkeypatch.setattr("harness.executors.ray.ATTEMPTS", 2)
    text = with_plugin("DiesOnce", f"{{path: {tmp_path / 'marker'}}}", ONE_SET)
    config = f"{{path: {tmp_path / 'lost'}, limit: 2, number: [1, 2]}}"
    plan = plan_of(with_plugin("LosesTheGpu", config, text))
    run = Run(plan, tmp_path / "r", "ray", workers=1)
    died, lost = run.retried()
    assert "worker died" in died
    assert (
        lost == "its worker lost the GPU (RuntimeError: CUDA error: device-side assert triggered)"
    )
    (record,) = run.contents.failures.values()
    assert record.failure is not None
    assert record.identity.method.config["number"] == 1
    assert (record.failure.kind, record.failure.attempt) == ("infrastructure", 2)
    assert len(run.contents.records) == len(plan.cells) - 1


def test_the_serial_executor_stops_when_its_process_has_lost_the_gpu(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = f"{{path: {tmp_path / 'lost'}, number: [1, 2]}}"
    plan = plan_of(with_plugin("LosesTheGpu", config, ONE_SET))
    with pytest.raises(DeviceLost, match=r"device-side assert triggered\. .*--executor ray"):
        Run(plan, tmp_path / "r")
    contents = Store(tmp_path / "r").load(cell.id for cell in plan.cells)
    (failure,) = contents.failures.values()
    assert failure.failure is not None and failure.failure.kind == "infrastructure"
    method = find_method(plan.cells[-1].method)
    monkeypatch.setattr(method, "lost", False)  # as in a new process
    again = Run(plan, tmp_path / "r")
    assert (again.result.failed, len(again.contents.records)) == (0, len(plan.cells))


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_a_cell_whose_time_is_up_fails_alone(
    executor: str, plan_of: MakePlan, tmp_path: Path
) -> None:
    """It is in the worker that the next cell wants."""
    text = with_plugin("Hangs", text=ONE_SET) + "  - nearest_class_mean\n"
    plan = plan_of(text)
    before = time.monotonic()
    run = Run(plan, tmp_path / "r", executor, limit_seconds=15)
    assert time.monotonic() - before < 120
    (failed,) = run.contents.failures.values()
    assert failed.failure is not None and failed.label == "hangs"
    assert (failed.failure.kind, failed.failure.attempt) == ("time", 1)
    assert "0.25 minutes, the suite's limit" in failed.failure.message
    assert len(run.contents.records) == len(plan.cells) - 1 and run.retried() == []


def test_the_limit_is_no_part_of_a_cell(plan_of: MakePlan) -> None:
    limited = plan_of(ONE_SET + "limit: {minutes_per_cell: 0.5}\n")
    assert limited.suite.suite.limit.minutes_per_cell == 0.5
    assert [c.id for c in limited.cells] == [c.id for c in plan_of(ONE_SET).cells]
    for wrong in ("0", "-1", ".nan", ".inf", "soon"):
        with pytest.raises(HarnessError, match=r"small\.yaml:\d+: limit\.minutes_per_cell"):
            plan_of(ONE_SET + f"limit: {{minutes_per_cell: {wrong}}}\n")


def test_a_local_cluster_listens_on_loopback_only(plan_of: MakePlan, tmp_path: Path) -> None:
    settings = Settings(tmp_path / "cache", device="cpu")
    with closing(make_executor("ray").run(plan_of(ONE_SET).cells, settings)) as events:  # type: ignore[type-var]
        next(iter(events))
        hosts = listening(of=descendants(os.getpid()))
    assert hosts and all(host.startswith("127.") for host in hosts)


def test_the_serial_path_never_imports_ray() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from harness.executors.make import make_executor; make_executor('serial');"
        "import harness.verbs.run; sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
