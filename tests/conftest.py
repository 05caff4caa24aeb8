"""What the tests share: a few cheap cells on the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings
from small_suite import SMALL, MakePlan

from harness.plan.expand import Plan, make_plan
from harness.plan.suite import load_suite

torch.set_num_threads(1)

# Machines are shared and slow at times: how long an example takes says nothing of the code.
settings.register_profile("patient", settings(deadline=None))
settings.load_profile("patient")


@pytest.fixture
def plan_of(tmp_path: Path) -> MakePlan:
    """Writes a suite file and plans it."""

    def make(text: str = SMALL, name: str = "small.yaml") -> Plan:
        path = tmp_path / name
        path.write_text(text)
        return make_plan(load_suite(path))

    return make
