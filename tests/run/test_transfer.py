"""Carrying a classifier over to a retention set: its own rule, or columns of its logits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_suite import MakePlan

from harness.datasets import Item, load_dataset
from harness.datasets.columns import columns_of
from harness.datasets.dataset import Dataset
from harness.datasets.halves import halve
from harness.reports import gather
from harness.run.cell import run_cell
from harness.run.prepared import Prepared
from harness.run.resources import Resources
from harness.run.support import LazyBatch
from harness.run.transfer import carry_over
from harness.task import Batch, Classes, Classifier


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Named(Dataset):
    """Class names and nothing else."""

    fingerprint: str = ""


def named(*names: str, ids: tuple[str, ...] = ()) -> Named:
    return Named(name="n", class_names=names, class_ids=ids, templates=("{}",), splits={})


@pytest.mark.parametrize(
    ("target", "source", "columns"),
    [
        (named("b", "a"), named("a", "b", "c"), (1, 0)),
        (named("a", "d"), named("a", "b", "c"), None),
        (named("A"), named("a"), None),
        (named("a"), named("a", "b", "a"), None),
        (named("a", "a"), named("a", "b"), None),
        (named("crane", ids=("n2",)), named("crane", "crane", ids=("n1", "n2")), (1,)),
        (named("tench", ids=("n9",)), named("tench", ids=("n1",)), None),
        (named("tench"), named("tench", "crane", ids=("n1", "n2")), (0,)),
    ],
)
def test_classes_are_found_by_id_or_by_a_name_that_is_clear(
    target: Named, source: Named, columns: tuple[int, ...] | None
) -> None:
    assert columns_of(target, source) == columns


class Fixed(Classifier):
    def logits(self, batch: Batch) -> torch.Tensor:
        return torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


class Rebinds(Fixed):
    def rebind(self, classes: Classes) -> Classifier:
        return self


def test_the_methods_own_rule_goes_first_and_none_is_not_applicable() -> None:
    batch = LazyBatch(2, lambda: torch.empty(0), lambda: torch.empty(0))
    target = Classes(("c", "a"))
    carried = carry_over(Fixed(), target, (2, 0))
    assert carried is not None
    assert carried[1] == "columns"
    assert carried[0].logits(batch).tolist() == [[3.0, 1.0], [6.0, 4.0]]
    own = Rebinds()
    assert carry_over(own, target, (2, 0)) == (own, "rebind")
    assert carry_over(Fixed(), target, None) is None


SUITE = """\
backbone: glyphs
datasets: [digits]
shots: [4]
seeds: [1]
retention: [{name: low, uses: digits, half: base}, letters]
keep_logits: true
methods: [zero_shot, linear_probe]
"""


def test_a_linear_probe_is_tested_on_part_of_its_classes(plan_of: MakePlan, tmp_path: Path) -> None:
    cells = {cell.label: cell for cell in plan_of(SUITE).cells}
    resources = Resources(tmp_path / "cache", "cpu")
    outcome = run_cell(cells["linear_probe"], resources)
    assert outcome.kept is not None, outcome.record.failure
    low = outcome.record.retention["low"]
    assert low is not None and low.rule == "columns"
    # The same figure from the logits on all ten digits: images of 0 to 4, columns 0 to 4.
    labels = outcome.kept["test/labels"]
    few = labels < 5
    guesses = outcome.kept["test/logits"][few][:, :5].argmax(-1)
    assert low.metrics["images"] == few.sum()
    assert low.metrics["top1"] == pytest.approx(100 * np.mean(guesses == labels[few]))
    assert outcome.record.retention["letters"] is None, "other classes: not transferable"
    frozen = run_cell(cells["zero_shot"], resources).record.retention["low"]
    assert frozen is not None
    assert (frozen.rule, frozen.metrics["gain"]) == ("rebind", 0.0)


def test_that_columns_apply_is_part_of_the_cells_identity(plan_of: MakePlan) -> None:
    (cell,) = [cell for cell in plan_of(SUITE).cells if cell.label == "linear_probe"]
    rules = {one.data.name: one.transfer for one in cell.identity.stage.held_out}
    assert rules == {"low": "columns", "letters": None}


def test_base_draws_are_those_of_all_classes_cut_in_half(plan_of: MakePlan, tmp_path: Path) -> None:
    text = SUITE.replace("retention: [{name: low, uses: digits, half: base}, letters]\n", "")
    resources = Resources(tmp_path, "cpu")

    def drawn(text: str) -> tuple[Item, ...]:
        (cell,) = [cell for cell in plan_of(text).cells if cell.label == "linear_probe"]
        return Prepared(cell, resources).stages[0].draw.train

    whole, base = drawn(text), drawn(text + "setting: base_to_new\n")
    assert base == tuple(item for item in whole if item.label < 5)
    assert len(base) == 20


def test_a_report_has_base_new_and_h_of_real_cells(plan_of: MakePlan, tmp_path: Path) -> None:
    text = SUITE.replace("keep_logits: true", "setting: base_to_new").replace(
        "shots: [4]", "shots: [1]"
    )
    plan = plan_of(text)
    resources = Resources(tmp_path / "cache", "cpu")
    records = {cell.id: run_cell(cell, resources).record for cell in plan.cells}
    (table,) = gather(plan.cells, records).tables["base_to_new"]
    shown = {line.name: [entry.text for entry in line.entries] for line in table.lines}
    (frozen,) = [record for record in records.values() if record.label == "zero_shot"]
    new = frozen.retention["digits-new"]
    assert frozen.metrics is not None and new is not None
    base, top1 = frozen.metrics["top1"], new.metrics["top1"]
    h = 2 * base * top1 / (base + top1)
    assert shown["zero_shot"] == [f"{value:.1f}" for value in (base, top1, h)]
    assert shown["linear_probe"][1:] == ["n/a", "n/a"]


def test_halves_keep_the_ids_of_their_classes() -> None:
    digits = load_dataset("digits")
    ids = tuple(f"n{label}" for label in range(10))
    new = halve(dataclasses.replace(digits, class_ids=ids), "new")
    assert new.class_ids == ids[5:]
    assert columns_of(new, digits) == (5, 6, 7, 8, 9)
