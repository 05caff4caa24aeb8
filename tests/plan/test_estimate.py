"""Estimates of time: rates are found again from costs made with them, and work is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_suite import SMALL, MakePlan

from harness.backbones.spec import BackboneSpec
from harness.datasets.spec import DatasetSpec
from harness.plan.cell import Cell
from harness.plan.estimate import FEWEST, Estimator, counts_of, fit_rates, work_of
from harness.plan.expand import outline
from harness.plan.gpu_hours import TOKENS, gpu_hours, pass_flops
from harness.plan.settings import all_classes
from harness.plan.suite import load_suite
from harness.store.record import Cost, Record

RATES = (0.2, 1e-3, 8e-3, 2e-3, 5e-3, 2e-4, 1e-3)
WITH_LORA = SMALL.replace("seeds: [1]", "seeds: [1, 2]") + (
    "  - {name: coop, config: {steps: [5, 20], views: 2}}\n"
    "  - {name: lora, config: {steps: [5, 40], batch: [4, 8]}}\n"
    "  - {name: lora, label: text, config: {steps: 20, encoders: text, views: 3}}\n"
    "  - {name: clip_adapter, config: {steps: 30, batch: 4}}\n"
)


def cost_of(work: dict[str, int], noise: float = 1.0) -> Cost:
    counts = counts_of(work, 1)
    seconds = noise * sum(rate * count for rate, count in zip(RATES, counts, strict=True))
    return Cost(seconds, 0.0, 0.0, 0, 1.0, 0, work=work)


def finished(cell: Cell, noise: float = 1.0) -> Record:
    cost = cost_of(work_of(cell), noise)
    return Record(cell.id, cell.label, cell.identity, "ok", cost=cost)


def test_rates_are_found_again(plan_of: MakePlan) -> None:
    costs = [cost_of(work_of(cell)) for cell in plan_of(WITH_LORA).cells]
    assert fit_rates(costs) == pytest.approx(RATES, rel=1e-3)


def test_unseen_cells_are_estimated_from_others(plan_of: MakePlan) -> None:
    cells = plan_of(WITH_LORA).cells
    seen = [cell for cell in cells if cell.seed <= 1 and cell.dataset == "digits"]
    noisy = [finished(cell, 1 + 0.1 * (-1) ** n) for n, cell in enumerate(seen)]
    estimator = Estimator(noisy)
    unseen = [cell for cell in cells if cell.dataset == "georgian" and cell.shots]
    truth = sum(cost_of(work_of(cell)).fit_seconds for cell in unseen)
    found = [estimator.cell(cell) for cell in unseen]
    assert sum(seconds for seconds in found if seconds) == pytest.approx(truth, rel=0.3)


def test_the_same_cells_come_first_and_too_few_say_nothing(plan_of: MakePlan) -> None:
    first, *others = plan_of(WITH_LORA).cells
    estimator = Estimator([finished(first, noise=7.0)])
    assert estimator.cell(first) == pytest.approx(7.0 * cost_of(work_of(first)).fit_seconds)
    assert estimator.cell(others[0]) is None and estimator.total([first, *others]) is None
    for cell in others[: FEWEST - 1]:
        estimator.add(finished(cell))
    assert estimator.cell(others[-1]) is not None


def test_work_is_counted(plan_of: MakePlan) -> None:
    cells = {(c.label, c.dataset, c.shots): c for c in plan_of(WITH_LORA).cells}
    digits, georgian = 10, 24

    def work(label: str, dataset: str, shots: int) -> dict[str, int]:
        return {k: v for k, v in work_of(cells[label, dataset, shots]).items() if v}

    scored = {c.dataset: c.scored for c in cells.values()}
    assert scored["georgian"] > scored["digits"] > 100  # georgian's cells score digits as well
    assert work("coop(steps=20)", "digits", 2) == {
        "steps": 20,
        "prompts_trained": 20 * digits,
        "views": 2 * 2 * digits,
        "scored": scored["digits"],
    }
    assert work("lora(steps=40, batch=8)", "georgian", 1) == {
        "steps": 40,
        "images_trained": 40 * 8,
        "prompts_trained": 40 * georgian,
        "adapts_images": True,
        "scored": scored["georgian"],
    }
    assert work("text", "digits", 1) == {
        "steps": 20,
        "prompts_trained": 20 * digits,
        "views": 3 * digits,
        "scored": scored["digits"],
    }
    assert work("clip_adapter", "digits", 1) == {
        "steps": 30,
        "images": 30 * 4,
        "scored": scored["digits"],
    }


def test_views_are_counted_once_per_draw(plan_of: MakePlan) -> None:
    """Learnt under one seed and asked for of another, at the rate of an image that is scored."""
    of_coop = plan_of(WITH_LORA).keep(lambda cell: cell.label.startswith("coop")).cells
    cells = [cell for cell in of_coop if cell.seed == 2]
    others = [cell for cell in plan_of(WITH_LORA).cells if cell.seed != 2]
    estimator = Estimator(finished(cell) for cell in others)
    alone = sum(cost_of(work_of(cell)).fit_seconds for cell in cells)
    draws = {(c.dataset, c.shots): work_of(c)["views"] for c in cells}
    expected = alone + RATES[-1] * sum(draws.values())
    assert len(draws) < len(cells)
    assert estimator.total(cells) == pytest.approx(expected, rel=0.01)
    assert estimator.total(cells, workers=2) == pytest.approx(expected / 2, rel=0.01)


def test_more_workers_than_cells_do_not_make_the_longest_shorter(plan_of: MakePlan) -> None:
    cells = [cell for cell in plan_of(WITH_LORA).cells if cell.label == "clip_adapter"]
    estimator = Estimator(map(finished, cells))
    longest = max(seconds for cell in cells if (seconds := estimator.cell(cell)))
    assert estimator.total(cells, workers=999) == pytest.approx(longest)


def test_the_cost_of_views_is_that_of_the_cells_that_made_them(plan_of: MakePlan) -> None:
    """Of two methods that read a draw's views one made them and the other waited; a draw found in
    the cache tells nothing, and what is there already is not paid for again."""
    cells = [c for c in plan_of(WITH_LORA).cells if c.label in ("coop(steps=5)", "coop(steps=20)")]
    each, made = 0.03, set()
    estimator = Estimator()
    for cell in cells:
        views, draw = work_of(cell)["views"], (cell.dataset, cell.shots, cell.seed)
        seconds = {"digits": each * views * (0.5 if draw in made else 1.0), "georgian": 0.0}
        made.add(draw)
        cost = replace(cost_of(work_of(cell)), feature_seconds=seconds[cell.dataset])
        estimator.add(Record(cell.id, cell.label, cell.identity, "ok", cost=cost))
    assert estimator.view("glyphs") == pytest.approx(each)
    known = sum(seconds for cell in cells if (seconds := estimator.cell(cell)))
    assert estimator.total(cells) == pytest.approx(known)


def test_operations_of_vit_b_32() -> None:
    """49 patches and a class token through 12 blocks of width 768; text: 12 blocks of 512."""
    found = pass_flops(BackboneSpec(model="ViT-B-32", pretrained="random"))
    assert found is not None
    linears = 12 * 24 * 768**2 * 50
    assert found[0] == pytest.approx(linears, rel=0.05)
    assert found[1] == pytest.approx(12 * 24 * 512**2 * TOKENS, rel=0.05)
    assert pass_flops(BackboneSpec(model="glyphs")) is None


def test_gpu_hours_of_cells_that_wait(tmp_path: Path) -> None:
    """One LoRA cell on dtd, by hand: 10 steps of 32 images and 47 prompts, 1,692 images scored."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "backbone: {model: ViT-B-32, pretrained: random}\n"
        f"datasets: [{{name: dtd, root: {tmp_path}}}]\nshots: [1]\nseeds: [1]\n"
        "methods: [{name: lora, config: {steps: 10}}]\n"
    )
    plan = outline(load_suite(path))
    assert len(plan.waiting) == 1 and not plan.cells
    found = pass_flops(plan.suite.suite.backbone)
    assert found is not None
    flops = found[0] * (2 * 10 * 32 + 1692) + found[1] * 2 * 10 * 47
    assert gpu_hours(plan, tflops=2.0) == pytest.approx(flops / 2e12 / 3600)
    other = plan.waiting[0]
    unknown = replace(plan, waiting=(replace(other, stages=all_classes(DatasetSpec(name="mine"))),))
    assert gpu_hours(unknown, tflops=2.0) is None
