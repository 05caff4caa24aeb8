"""A setting of several stages runs through the same machinery as one of a single stage."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import ONE_SET, Run, with_plugin
from small_suite import MakePlan

from harness.datasets import load_dataset
from harness.datasets.spec import DatasetSpec
from harness.plan.settings import SETTINGS, Part, Stage
from harness.store.record import Record

TEXT = with_plugin("Sequel", text=ONE_SET.partition("methods:")[0] + "methods:\n")


def two_tasks(data: DatasetSpec) -> tuple[Stage, ...]:
    """One half of the classes after the other; what was learnt first is tested again at the end."""
    first, second = Part(data, "base"), Part(data, "new")
    return (Stage(first), Stage(second, (first,)))


@pytest.fixture
def sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "base_to_new", two_tasks)


def record_of(plan_of: MakePlan, folder: Path, text: str) -> Record:
    run = Run(plan_of(text), folder)
    (record,) = run.contents.records.values()
    assert record.status == "ok", record.failure
    return record


@pytest.mark.usefixtures("sequence")
def test_every_stage_starts_from_the_classifier_of_the_one_before(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    record = record_of(plan_of, tmp_path, TEXT + "setting: base_to_new\n")
    (first,) = record.earlier
    assert (first.details["stage"], record.details["stage"]) == (0, 1)
    assert record.details["classes_before"] == 5
    assert [stage.adapt.name for stage in record.identity.stages] == ["digits-base", "digits-new"]
    assert Record.from_json(record.to_json()) == record


@pytest.mark.usefixtures("sequence")
def test_a_stage_is_tested_on_what_it_says_and_learns_from_its_own_draw(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    record = record_of(plan_of, tmp_path, TEXT + "setting: base_to_new\n")
    (first,) = record.earlier
    test = load_dataset("digits").items("test")
    base = sum(item.label < 5 for item in test)
    assert first.metrics["images"] == base
    assert record.metrics is not None and record.metrics["images"] == len(test) - base
    assert set(first.retention) == set() and set(record.retention) == {"digits-base"}
    again = record.retention["digits-base"]
    assert again is not None and again.metrics["images"] == base
    # The plug-in classifies as the frozen model does, under any names: the same numbers again.
    assert again.metrics["top1"] == first.metrics["top1"]
    assert record.draw is not None and first.draw is not None
    assert record.draw.images == first.draw.images == 5
    assert record.draw.id != first.draw.id
    assert record.cost is not None and record.cost.work["scored"] == base + len(test)


def test_a_sequence_is_another_cell_than_its_last_stage(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(data: DatasetSpec) -> tuple[Stage, ...]:
        return two_tasks(data)[1:]

    ids = []
    for setting in (two_tasks, alone, SETTINGS["base_to_new"]):
        monkeypatch.setitem(SETTINGS, "base_to_new", setting)
        (cell,) = plan_of(TEXT + "setting: base_to_new\n").cells
        ids.append(cell.id)
    assert len(set(ids)) == 3


@pytest.mark.usefixtures("sequence")
def test_a_search_chooses_at_every_stage(plan_of: MakePlan, tmp_path: Path) -> None:
    text = with_plugin("Chooser", text=TEXT.partition("methods:")[0] + "methods:\n")
    record = record_of(plan_of, tmp_path, text + "setting: base_to_new\nprotocol: val_search\n")
    (first,) = record.earlier
    for trials, chosen in ((first.search, first.chosen), (record.search, record.chosen)):
        assert chosen == max(trials, key=lambda trial: trial["top1"])["config"]
        assert len(trials) == 4
    assert record.cost is not None and record.cost.evaluations == 8
