"""The suites that come with the project: each is planned, with the number of cells of its grid."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan.expand import Plan, outline
from harness.plan.suite import load_suite

SUITES = Path(__file__).parents[2] / "suites"
ELEVEN = 11

GRIDS = {
    # data sets × (methods without a draw + methods with one × shots × seeds)
    "clip-vitb16-fewshot": ELEVEN * (1 + 8 * 5 * 3),
    "base-to-new": ELEVEN * (1 + 7 * 1 * 3),
    "cross-dataset": 1 * (1 + 4 * 1 * 3),
    "domain-generalization": 1 * (1 + 7 * 1 * 3),
    "clip-vitb16-forgetting": ELEVEN * (1 + 5 * 2 * 3),
    "forgetting": 5 * (1 + 10 * 1 * 3),
    "fewshot": 5 * (1 + 7 * 3 * 3),
    "calibration": 2 * (1 + 13 * 1 * 2),
    "smoke": 2 * (1 + 7),
    "features": 1 * (1 + 9 * 5 * 5),
    "features_all": 2 * (3 * 5 * 5),
}


@pytest.fixture(scope="module")
def planned() -> dict[str, Plan]:
    """Every suite, on a machine without data or a connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HARNESS_DATA", raising=False)
        patch.setattr("harness.backbones.weights._unreachable", lambda url: "no connection")
        patch.setattr("huggingface_hub.try_to_load_from_cache", lambda *names: None)
        return {path.stem: outline(load_suite(path)) for path in sorted(SUITES.glob("*.yaml"))}


def test_every_suite_has_the_cells_of_its_grid(planned: dict[str, Plan]) -> None:
    assert {name: len(plan.every) for name, plan in planned.items()} == GRIDS
    for name, plan in planned.items():
        embedded = plan.suite.suite.backbone.model == "glyphs"
        assert bool(plan.cells) == embedded, f"{name}: embedded suites run anywhere, others nowhere"
        assert plan.suite.suite.name == name


def test_what_the_real_suites_need_is_named(planned: dict[str, Plan]) -> None:
    for name, sets in (
        ("clip-vitb16-fewshot", ELEVEN),
        ("base-to-new", ELEVEN),
        ("cross-dataset", ELEVEN),
        ("domain-generalization", 5),
        ("clip-vitb16-forgetting", ELEVEN),
    ):
        missing = [thing.what for thing in planned[name].missing]
        assert missing[0] == "weights ViT-B-16-quickgelu/openai"
        assert len(missing) == 1 + sets, name


def test_forgetting_takes_over_the_cells_that_fewshot_has_run(planned: dict[str, Plan]) -> None:
    shared = {c.id for c in planned["forgetting"].cells} & {c.id for c in planned["fewshot"].cells}
    # LoRA and Comp-LoRA at 16 shots, and zero-shot, on five data sets
    assert len(shared) == 5 * (1 + 2 * 3)
