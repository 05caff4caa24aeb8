"""Running a plan: resume, failures, interrupts, a full disk; what is kept and what runs again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import ONE_SET, PLUGINS, Run, numbers, with_plugin
from small_suite import SMALL, MakePlan

from harness.executors.base import Event, Settings
from harness.executors.make import make_executor
from harness.executors.runner import run_plan, survey
from harness.store.record import Record
from harness.store.store import Store


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
            assert [record.metrics[name] for name in ("gain", "lost", "won")] == [0.0, 0, 0]
            changes = [kept.metrics["gain"] for kept in record.retention.values() if kept]
            assert changes == [0.0] * len(cell.places[0].held_out)


def test_the_precision_is_recorded_and_used(plan_of: MakePlan, tmp_path: Path) -> None:
    logits = {}
    for precision in ("fp32", "bf16"):
        text = ONE_SET.replace("backbone: glyphs", f"backbone: glyphs\nprecision: {precision}")
        plan = plan_of(text + "keep_logits: true\n").keep(lambda cell: cell.shots == 0)
        run = Run(plan, tmp_path / "r")
        (record,) = run.contents.records.values()
        assert record.identity.backbone.precision == precision
        logits[precision] = np.load(run.store.logits / f"{record.id}.npz")["test/logits"]
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


def test_a_record_of_a_later_version_is_said_and_not_run_over(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan = plan_of()
    run = Run(plan, tmp_path / "r")
    path = run.store.cells / f"{plan.cells[0].id}.json"
    later = path.read_text().replace('"schema": 2', '"schema": 3')
    path.write_text(later)
    standing, unread = survey(plan, run.store)
    assert [cell.id for cell in standing.later] == [plan.cells[0].id] and not standing.to_do
    assert "result schema 3" in unread[str(path)] and "upgrade" in unread[str(path)]
    again = Run(plan, tmp_path / "r")
    assert again.result.ran == 0
    assert again.notices == [f"{path}: {unread[str(path)]}"]
    assert path.read_text() == later


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
