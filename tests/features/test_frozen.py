"""The frozen model's features: told in full, made once, and refused where they say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_suite import SMALL, MakePlan
from torch import Tensor
from torch.nn import functional as F

from harness.features.faults import fault
from harness.plan.cell import Cell
from harness.run.cell import run_cell
from harness.run.prepared import Prepared
from harness.run.resources import Resources
from harness.task import Classes, Task

NAN, INF = float("nan"), float("inf")


def cells_of(plan_of: MakePlan, templates: str = "") -> list[Cell]:
    methods = "  - nearest_class_mean\n  - {name: coop, config: {steps: 1, context_tokens: 2}}\n"
    plan = plan_of(SMALL.replace("[digits, georgian]", "[digits]") + methods + templates)
    return [cell for cell in plan.cells if cell.shots in (0, 2)][:3]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x, None),
        (lambda x: x[:1].expand(3, 4) + 1e-3 * x, None),
        (lambda x: x.index_fill(0, torch.tensor([1]), NAN), "have NaN or infinity in 1 of 3 rows"),
        (lambda x: torch.full_like(x, -INF), "have NaN or infinity in 3 of 3 rows"),
        (lambda x: x.index_fill(0, torch.tensor([2]), 0), "are zero in 1 of 3 rows"),
        (lambda x: x[:1].expand(3, 4) + 1e-9 * x, "are the same in all 3 rows"),
    ],
)
def test_what_says_nothing(change: Callable[[Tensor], Tensor], expected: str | None) -> None:
    features = torch.tensor([[3.0, 1, 0, -2], [0, 1, 2, 5], [-1, -1, 2, 4]])
    assert fault(change(features), several=True) == expected


def test_images_of_one_class_may_be_alike() -> None:
    assert fault(torch.ones(2, 4), several=False) is None


def test_a_task_has_raw_text_under_each_template_and_its_ensemble(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    resources = Resources(tmp_path, "cpu")
    cell = next(cell for cell in cells_of(plan_of) if cell.shots == 2)
    opened = Prepared(cell, resources).stages[0]
    task = opened.task()
    classes = Classes(task.classes.names, cell.templates)
    raw = task.raw_text_features
    assert raw.shape == (len(cell.templates), len(classes), task.backbone.feature_dim)
    with torch.no_grad():
        for template, rows in zip(cell.templates, raw, strict=True):
            names = [template.format(name.replace("_", " ")) for name in classes.names]
            assert torch.equal(rows, task.backbone.encode_text(names))
    mean = F.normalize(raw, dim=-1).mean(0)
    torch.testing.assert_close(task.text_features, mean / mean.norm(dim=-1, keepdim=True))

    raw.zero_()  # a method may write into what it is given
    computed = resources.support_features.computed
    again = Prepared(cell, Resources(tmp_path, "cpu")).stages[0].task()
    assert computed == 1 and again.raw_text_features.abs().sum() > 0
    assert opened.task().raw_text_features.abs().sum() > 0


def test_without_an_engine_the_backbone_encodes_raw_text(plan_of: MakePlan, tmp_path: Path) -> None:
    task = Prepared(cells_of(plan_of)[-1], Resources(tmp_path, "cpu")).stages[0].task()
    bare = Task(
        task.classes, 1, task.support, None, task.backbone, task.text_features, task.generator
    )
    assert torch.equal(bare.raw_text_features, task.raw_text_features)
    assert not bare.raw_text_features.requires_grad


@pytest.mark.parametrize(
    ("sick", "message"),
    [
        ("text.ln_final.weight", 'glyphs: the text features of digits under "'),
        ("vision.ln_post.weight", "glyphs: the (image )?features of (digits|the support images)"),
    ],
)
@pytest.mark.parametrize("value", [NAN, 0.0])
def test_a_frozen_model_that_says_nothing_makes_no_number(
    plan_of: MakePlan, tmp_path: Path, sick: str, message: str, value: float
) -> None:
    """NaN, or the same for every image or name: no method's cell comes to a record of it."""
    resources = Resources(tmp_path, "cpu")
    for cell in cells_of(plan_of):
        backbone: Any = resources.backbone(cell)
        with torch.no_grad():
            backbone.parameters[sick].fill_(value)
            backbone.parameters[sick.replace("weight", "bias")].fill_(0.1)
        record = run_cell(cell, resources).record
        assert record.status == "failed" and record.failure is not None
        assert record.failure.kind == "data"
        assert "use another checkpoint" in record.failure.message
        assert re.match(message, record.failure.message)
