"""A draw from a list as long as ImageNet's, as the cells of a suite ask for it.

1.281 million items of 1000 classes, 16 shots: what run_cell asks of a draw, its images and its
content id, for every cell of nine methods under two seeds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from against_target import report

from harness.datasets import Dataset, Item
from harness.plan.expand import make_plan
from harness.plan.suite import load_suite
from harness.run.prepared import Prepared
from harness.run.resources import Resources

CLASSES, EACH = 1000, 1281
SUITE = """\
backbone: glyphs
datasets: [digits]
shots: [16]
seeds: [1, 2]
methods:
  - {name: tip_adapter, config: {alpha: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed(Dataset):
    """A long list of items, in the place of the small set that the plan was made with."""

    fingerprint: str = ""


def imagenet_sized(fingerprint: str) -> Listed:
    """Items by class, as the folders of ImageNet list them."""
    items = [
        Item(f"train/n{label:08}/n{label:08}_{number}.JPEG", label, f"class {label}")
        for label in range(CLASSES)
        for number in range(EACH)
    ]
    return Listed(
        name="imagenet",
        class_names=tuple(f"class {label}" for label in range(CLASSES)),
        templates=("a photo of a {}.",),
        splits={"train": items},
        fingerprint=fingerprint,
    )


TARGET = 1.0


def test_draws(benchmark: Any, capsys: Any, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    cells = make_plan(load_suite(path)).cells
    resources = Resources(tmp_path, "cpu")
    spec = cells[0].dataset_spec
    resources._datasets[spec] = imagenet_sized(resources.dataset(spec).fingerprint)

    def every() -> float:
        start = time.perf_counter()
        for cell in cells:
            draw = Prepared(cell, resources).stages[0].draw
            assert len(draw.train) == 16 * CLASSES and draw.id
        return (time.perf_counter() - start) / len(cells)

    seconds = benchmark.pedantic(every, rounds=1)
    note = f"mean of {len(cells)} cells of nine methods and two seeds"
    report(benchmark, capsys, "a draw from 1.28 million items, a cell", seconds, TARGET, note)
