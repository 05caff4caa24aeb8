"""What the tests share: a few cheap cells on the embedded model."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from small_suite import SMALL, MakePlan

from harness.plan.expand import Plan, make_plan
from harness.plan.suite import load_suite

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)

# Machines are shared and slow at times: how long an example takes says nothing of the code.
settings.register_profile("patient", settings(deadline=None))
settings.load_profile("patient")


def pytest_sessionstart() -> None:
    """Entry points are read from what was installed, which an edit of pyproject.toml leaves old."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, names in declared.items():
        if missing := set(names) - {entry.name for entry in entry_points(group=group)}:
            pytest.exit(f"{group}: {sorted(missing)} are not installed: pip install -e . again", 2)


@pytest.fixture
def plan_of(tmp_path: Path) -> MakePlan:
    """Writes a suite file and plans it."""

    def make(text: str = SMALL, name: str = "small.yaml") -> Plan:
        path = tmp_path / name
        path.write_text(text)
        return make_plan(load_suite(path))

    return make
