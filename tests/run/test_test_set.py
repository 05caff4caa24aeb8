"""The test set is out of a method's reach: proven on the objects that the engine builds."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from small_suite import SMALL, MakePlan

from harness.datasets import Dataset, Item
from harness.plan.cell import Cell
from harness.plan.methods import METHODS
from harness.run.cell import run_cell
from harness.run.prepared import Prepared
from harness.run.resources import Resources
from harness.task import Classifier, Method, Task

ALL = """\
  - {name: coop, config: {steps: 2, context_tokens: 4}}
  - {name: clip_adapter, config: {steps: 2}}
  - tip_adapter
  - {name: tip_adapter_f, config: {steps: 2}}
  - {name: kgcoop, config: {steps: 2}}
  - {name: maple, config: {steps: 2}}
  - {name: lora, config: {steps: 2}}
  - {name: dora, config: {steps: 2}}
  - {name: flat_lora, config: {steps: 2}}
  - {name: lora_pro, config: {steps: 2}}
  - {name: eva, config: {steps: 2}}
  - {name: comp_lora, config: {steps: 2}}
"""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Spy(Dataset):
    """A data set that fails the test when any of its test images is read too early."""

    real: Dataset
    locked: list[bool]

    @property
    def fingerprint(self) -> str:
        return self.real.fingerprint

    def read(self, items: Sequence[Item]) -> list[Any]:
        asked = {item.impath for item in items}
        if self.locked[0] and asked & {item.impath for item in self.splits["test"]}:
            raise AssertionError("a method reached a test image")
        return self.real.read(items)


def spied(resources: Resources, cell: Cell, permute: bool = False) -> Spy:
    real = resources.dataset(cell.dataset_spec)
    splits = dict(real.splits)
    if permute:
        labels = np.random.default_rng(0).permutation([item.label for item in splits["test"]])
        splits["test"] = tuple(
            item._replace(label=int(label))
            for item, label in zip(splits["test"], labels, strict=True)
        )
    fields = {f.name: getattr(real, f.name) for f in dataclasses.fields(Dataset)}
    return Spy(**{**fields, "splits": splits}, real=real, locked=[False])


def cells_of(plan_of: MakePlan) -> list[Cell]:
    plan = plan_of(SMALL.replace("[digits, georgian]", "[digits]") + ALL)
    return [cell for cell in plan.cells if cell.shots in (0, 2)]


def test_no_method_reads_a_test_image_while_it_is_fitted(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import registry

    resources = Resources(tmp_path, "cpu")
    find = registry.find
    fitted: list[str] = []

    def locking(group: str, reference: str, base: Path | None = None) -> Any:
        real: type[Method] = find(group, reference, base)
        if group != METHODS:
            return real

        class Locked(real):  # type: ignore[misc, valid-type]
            def fit(self, task: Task) -> Classifier:
                spy.locked[0] = True
                fitted.append(self.name)
                try:
                    return super().fit(task)
                finally:
                    spy.locked[0] = False

        return Locked

    monkeypatch.setattr(registry, "find", locking)
    for cell in cells_of(plan_of):
        spy = spied(resources, cell)
        resources._datasets[cell.dataset_spec] = spy
        record = run_cell(cell, resources).record
        resources._datasets[cell.dataset_spec] = spy.real
        assert record.status == "ok", record.failure
    assert len(set(fitted)) == 14


def test_permuting_the_test_labels_changes_no_classifier(plan_of: MakePlan, tmp_path: Path) -> None:
    logits = []
    for permute in (False, True):
        resources = Resources(tmp_path / str(permute), "cpu")
        found = {}
        for cell in cells_of(plan_of):
            kept = dataclasses.replace(cell, keep_logits=True)
            resources._datasets[cell.dataset_spec] = spied(resources, cell, permute)
            outcome = run_cell(kept, resources)
            resources._datasets.clear()
            assert outcome.kept is not None, outcome.record.failure
            found[cell.label] = outcome.kept
        logits.append(found)
    plain, permuted = logits
    for label, kept in plain.items():
        assert np.array_equal(kept["test/logits"], permuted[label]["test/logits"]), label
        assert not np.array_equal(kept["test/labels"], permuted[label]["test/labels"])


def test_no_reference_leads_from_a_task_to_a_test_item(plan_of: MakePlan, tmp_path: Path) -> None:
    """Follows every reference from a task, closures included, short of modules and types."""
    (cell,) = [c for c in cells_of(plan_of) if c.method == "lora"]
    resources = Resources(tmp_path, "cpu")
    task = Prepared(cell, resources).stages[0].task()
    secret = {id(item) for item in resources.dataset(cell.dataset_spec).items("test")}
    seen: set[int] = set()
    todo: list[Any] = [task]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, ModuleType | type | FrameType):
            continue
        seen.add(id(thing))
        assert id(thing) not in secret, "a task leads to a test item"
        if isinstance(thing, FunctionType):
            todo += [c.cell_contents for c in thing.__closure__ or ()]
        elif not isinstance(thing, torch.Tensor | np.ndarray | str | bytes | int | float):
            todo += gc.get_referents(thing)
