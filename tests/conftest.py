"""What the tests share: a few cheap cells on the embedded model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.plan import Plan, make_plan
from harness.suite import load_suite

torch.set_num_threads(1)

SMALL = """\
backbone: glyphs
datasets: [digits, georgian]
shots: [1, 2]
seeds: [1]
retention: [digits]
augment: {scale: [0.8, 1.0], flip: false}
methods:
  - zero_shot
  - {name: linear_probe}
"""

MakePlan = Callable[..., Plan]


@pytest.fixture
def plan_of(tmp_path: Path) -> MakePlan:
    """Writes a suite file and plans it."""

    def make(text: str = SMALL, name: str = "small.yaml") -> Plan:
        path = tmp_path / name
        path.write_text(text)
        return make_plan(load_suite(path))

    return make
