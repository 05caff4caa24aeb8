"""Running a plan: resume, failures, replaced workers, equal records from both executors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_suite import SMALL, MakePlan

from harness.device_loss import DeviceLost
from harness.executors import Event, Settings, make_executor
from harness.grid import Result, run_plan, survey
from harness.plan import Plan
from harness.record import Record
from harness.registry import find_method
from harness.store import Store
from methods.clip_adapter import CLIPAdapter

PLUGINS = Path(__file__).with_name("plugins.py")
ONE_SET = SMALL.replace("[digits, georgian]", "[digits]").replace("shots: [1, 2]", "shots: [1]")


class Run:
    """Runs a plan and remembers what was said."""

    def __init__(
        self,
        plan: Plan,
        root: Path,
        executor: str = "serial",
        workers: int = 1,
        tune: bool = False,
        pack: bool = False,
    ) -> None:
        self.store = Store(root)
        self.events: list[Event] = []
        self.notices: list[str] = []
        self.result: Result = run_plan(
            plan,
            self.store,
            make_executor(executor),
            Settings(self.store.cache, workers, device="cpu", pack=pack, tune=tune),
            self.events.append,
            self.notices.append,
        )
        self.contents = self.store.load(cell.id for cell in plan.cells)

    def retried(self) -> list[str]:
        return [event.message for event in self.events if event.kind == "retried"]


def with_plugin(name: str, config: str = "{}", text: str = SMALL) -> str:
    return text + f"  - {{name: '{PLUGINS}:{name}', config: {config}}}\n"


def numbers(records: dict[str, Record]) -> dict[str, Any]:
    """Records without what may differ between two runs: times, memory, provenance."""
    cost = {"cost": None, "provenance": {}}
    trainable = {i: r.cost.trainable for i, r in records.items() if r.cost}
    return {"trainable": trainable} | {
        cell_id: dataclasses.replace(record, **cost) for cell_id, record in records.items()
    }


def test_running_again_runs_nothing_and_growing_runs_what_is_new(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    first = Run(plan_of(), tmp_path / "r")
    assert (first.result.ran, first.result.failed) == (6, 0)
    assert Run(plan_of(), tmp_path / "r").result.ran == 0
    grown = plan_of(SMALL.replace("seeds: [1]", "seeds: [1, 2]"))
    assert Run(grown, tmp_path / "r").result.ran == 4


def test_records_say_what_was_measured_and_how(plan_of: MakePlan, tmp_path: Path) -> None:
    run = Run(plan_of(), tmp_path / "r")
    for cell in plan_of().cells:
        record = run.contents.records[cell.id]
        assert record.metrics is not None and record.cost is not None and record.draw is not None
        classes = 10 if cell.dataset == "digits" else record.draw.images // max(cell.shots, 1)
        assert record.draw.images == classes * cell.shots
        assert record.provenance["packages"]["torch"]
        assert record.provenance["machine"]["threads"] == 1
        if cell.method == "zero_shot":
            assert (record.metrics.gain, record.metrics.lost, record.metrics.won) == (0.0, 0, 0)
            changes = [kept.change for kept in record.retention.values() if kept is not None]
            assert changes == [0.0] * len(cell.retention_specs)


def test_the_precision_is_recorded_and_used(plan_of: MakePlan, tmp_path: Path) -> None:
    logits = {}
    for precision in ("fp32", "bf16"):
        text = ONE_SET.replace("backbone: glyphs", f"backbone: glyphs\nprecision: {precision}")
        plan = plan_of(text + "keep_logits: true\n").keep(lambda cell: cell.shots == 0)
        run = Run(plan, tmp_path / "r")
        (record,) = run.contents.records.values()
        assert record.cell["backbone"]["precision"] == precision
        logits[precision] = np.load(run.store.logits / f"{record.id}.npz")["logits"]
    gap = abs(logits["fp32"] - logits["bf16"]).max()
    assert 0 < gap < 0.1 * abs(logits["fp32"]).max()


def test_one_failing_cell_does_not_stop_the_grid_and_is_tried_again(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan = plan_of(with_plugin("Fails"))
    run = Run(plan, tmp_path / "r")
    assert (run.result.ran, run.result.failed) == (10, 2)
    for record in run.contents.failures.values():
        assert record.failure is not None
        assert record.failure.kind == "method"
        assert record.failure.message == "RuntimeError: it broke"
        assert "plugins.py" in record.failure.traceback
    again = Run(plan, tmp_path / "r")
    assert (again.result.ran, again.result.failed) == (2, 2), "a failure never counts as done"


def test_a_skipped_cell_is_done_and_has_its_reason(plan_of: MakePlan, tmp_path: Path) -> None:
    plan = plan_of(with_plugin("Skips", text=ONE_SET))
    run = Run(plan, tmp_path / "r")
    (record,) = [r for r in run.contents.records.values() if r.status == "skipped"]
    assert record.failure is not None
    assert record.failure.message == "this tower has no attention sites"
    assert Run(plan, tmp_path / "r").result.ran == 0


def test_logits_of_the_wrong_shape_are_a_failure_with_the_shapes(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    run = Run(plan_of(with_plugin("WrongShape", text=ONE_SET)), tmp_path / "r")
    (record,) = run.contents.failures.values()
    assert record.failure is not None
    assert "11)" in record.failure.message and "10)" in record.failure.message


def test_details_that_are_no_number_fail_their_cell_only(plan_of: MakePlan, tmp_path: Path) -> None:
    run = Run(plan_of(with_plugin("NotANumber", text=ONE_SET)), tmp_path / "r")
    assert (run.result.ran, run.result.failed) == (3, 1)


def test_leaving_the_program_fails_the_cell_only(plan_of: MakePlan, tmp_path: Path) -> None:
    run = Run(plan_of(with_plugin("Leaves", text=ONE_SET)), tmp_path / "r")
    assert (run.result.ran, run.result.failed) == (3, 1)


def test_a_method_that_writes_into_what_it_is_given_harms_no_other_cell(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    others = "  - tip_adapter\n"
    clean = Run(plan_of(ONE_SET + others), tmp_path / "clean")
    text = with_plugin("Vandal", text=ONE_SET.replace("  - zero_shot\n", ""))
    order = text + "  - zero_shot\n" + others
    run = Run(plan_of(order), tmp_path / "r")
    for cell_id, record in clean.contents.records.items():
        assert run.contents.records[cell_id].metrics == record.metrics


def test_keeping_logits_later_runs_the_cells_again(plan_of: MakePlan, tmp_path: Path) -> None:
    Run(plan_of(ONE_SET), tmp_path / "r")
    plan = plan_of(ONE_SET + "keep_logits: true\n")
    assert Run(plan, tmp_path / "r").result.ran == 2
    assert Run(plan, tmp_path / "r").result.ran == 0


def test_a_method_edited_during_the_run_is_not_filed_under_its_old_source(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(PLUGINS.read_text())
    plan = plan_of(ONE_SET + "  - mine.py:Slow\n")
    mine.write_text(PLUGINS.read_text() + "# edited\n")
    run = Run(plan, tmp_path / "r")
    (record,) = run.contents.failures.values()
    assert record.failure is not None
    assert record.failure.kind == "infrastructure"
    assert "source changed since the run was planned" in record.failure.message


def test_a_memory_fault_is_tried_once_more_at_the_end(plan_of: MakePlan, tmp_path: Path) -> None:
    config = f"{{path: {tmp_path / 'marker'}}}"
    run = Run(plan_of(with_plugin("OutOfMemoryOnce", config, ONE_SET)), tmp_path / "r")
    assert run.result.failed == 0
    assert run.retried() == ["MemoryError: too much"]


def test_a_corrupt_result_is_set_aside_and_its_cell_runs_again(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan = plan_of()
    run = Run(plan, tmp_path / "r")
    path = run.store.cells / f"{plan.cells[0].id}.json"
    whole = path.read_text()
    path.write_text(whole[:100])
    _, corrupt = survey(plan, run.store)
    assert list(corrupt) == [str(path)]
    again = Run(plan, tmp_path / "r")
    assert again.result.ran == 1
    assert str(path) in again.notices[0]
    assert numbers(again.contents.records) == numbers(run.contents.records)


def test_a_full_disk_stops_the_run_and_loses_nothing(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of()
    written: list[str] = []
    write = Store.write

    def full_after_two(self: Store, record: Record, logits: Any = None) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(self.cells))
        write(self, record, logits)
        written.append(record.id)

    monkeypatch.setattr(Store, "write", full_after_two)
    with pytest.raises(OSError, match="No space left"):
        Run(plan, tmp_path / "r")
    monkeypatch.undo()
    assert set(Store(tmp_path / "r").load(c.id for c in plan.cells).records) == set(written)
    assert Run(plan, tmp_path / "r").result.ran == 4


def test_an_interrupt_closes_the_executor_and_keeps_what_is_done(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan, store = plan_of(), Store(tmp_path / "r")
    closed: list[bool] = []

    class Watched:
        def run(self, cells: Any, settings: Settings) -> Iterator[Event]:
            try:
                yield from make_executor("serial").run(cells, settings)
            finally:
                closed.append(True)

    def interrupt(event: Event) -> None:
        if event.outcome is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, store, Watched(), Settings(store.cache), interrupt, print)
    assert closed == [True]
    assert len(store.load(c.id for c in plan.cells).records) == 1


def test_val_search_chooses_on_val_and_oracle_on_test(plan_of: MakePlan, tmp_path: Path) -> None:
    for protocol, on in (("val_search", "val"), ("oracle", "test")):
        text = with_plugin("Chooser", text=ONE_SET).replace(
            "backbone: glyphs", f"backbone: glyphs\nprotocol: {protocol}"
        )
        plan = plan_of(text, f"{protocol}.yaml")
        run = Run(plan, tmp_path / protocol)
        (record,) = [r for r in run.contents.records.values() if r.label == "chooser"]
        assert [trial["on"] for trial in record.search] == [on] * 4
        best = max(record.search, key=lambda trial: trial["top1"])
        assert record.chosen == best["config"]
        assert record.cost is not None and record.cost.evaluations == 4


def test_serial_and_ray_give_the_same_records_bit_for_bit(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    text = ONE_SET + "  - {name: lora, config: {steps: 2}}\n  - {name: coop, config: {steps: 2}}\n"
    serial = Run(plan_of(text), tmp_path / "serial")
    ray = Run(plan_of(text), tmp_path / "ray", "ray", workers=2)
    assert ray.result.failed == 0
    assert numbers(ray.contents.records) == numbers(serial.contents.records)


def test_searching_by_ray_tune_finds_what_the_serial_search_finds(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    """Of a method whose candidates train one by one, and of one whose candidates are packed."""
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
    assert record.cell["method"]["config"]["number"] == 1
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


def test_the_serial_path_never_imports_ray() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from harness.executors import make_executor; make_executor('serial');"
        "import harness.verbs.run; sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


PACKED = """\
backbone: glyphs
datasets: [digits]
shots: [1, 2]
seeds: [1, 2, 3]
retention: [greek]
keep_logits: true
augment: {scale: [0.8, 1.0], flip: false}
methods:
  - zero_shot
  - {name: clip_adapter, config: {steps: 12, views: 2, lr: [0.1, 1.0]}}
  - {name: tip_adapter_f, config: {steps: 12, views: 2, train_views: 2}}
"""


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_packed_records_are_those_of_single_cells(
    plan_of: MakePlan, tmp_path: Path, executor: str
) -> None:
    plan = plan_of(with_plugin("Unpackable", "{rate: [1.0, 2.0]}", PACKED))
    single = Run(plan, tmp_path / "single")
    packed = Run(plan, tmp_path / "packed", executor, workers=2, pack=True)
    assert packed.result.ran == len(plan.cells) == 1 + 2 * 3 * 5
    assert packed.result.failed == 0
    replicas = {1: 0, 3: 0, 6: 0}
    for cell in plan.cells:
        one, other = (run.contents.records[cell.id] for run in (single, packed))
        replicas[other.provenance["replicas"]] += 1
        assert one.provenance["replicas"] == 1
        assert one.metrics is not None and other.metrics is not None
        for field in dataclasses.fields(one.metrics):
            value = getattr(other.metrics, field.name)
            assert value == pytest.approx(getattr(one.metrics, field.name), rel=1e-5)
        guesses = [
            np.load(run.store.root / "logits" / f"{cell.id}.npz")["logits"].argmax(-1)
            for run in (single, packed)
        ]
        assert (guesses[0] == guesses[1]).all()
    # By shots: six adapters (two rates, three seeds) and three caches; zero-shot by itself, and
    # the twelve cells of a method whose packs of six failed.
    assert replicas == {1: 1 + 12, 3: 6, 6: 12}
    assert packed.retried() == ["its pack of 6 failed (no replicas today)"] * 12


def test_a_search_trains_its_candidates_together(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PACKED.replace("seeds: [1, 2, 3]", "seeds: [1]\nprotocol: val_search").replace(
        "lr: [0.1, 1.0]}", "ratio: 0.5}, search: {ratio: [0.2, 0.6], lr: [0.1, 1.0]}"
    )
    plan = plan_of(text).keep(lambda cell: cell.label == "clip_adapter")
    packed = Run(plan, tmp_path / "packed")
    monkeypatch.setattr(CLIPAdapter, "packs", None)
    single = Run(plan, tmp_path / "single")
    for cell in plan.cells:
        one, other = (run.contents.records[cell.id] for run in (single, packed))
        assert len(one.search) == 4 and one.search == other.search
        assert one.chosen == other.chosen
