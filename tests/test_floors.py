"""The lowest-dependency job tries the floors that are declared."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
UNTRIED = {"torch", "open_clip_torch"}


def test_every_floor_tried_is_the_floor_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    lines = (ROOT / ".github/lowest.txt").read_text().splitlines()
    tried = [Requirement(line) for line in lines if line and line[0] != "#"]
    assert not UNTRIED & {requirement.name for requirement in tried}
    for requirement in tried:
        (pinned,), (floor,) = requirement.specifier, declared[requirement.name]
        assert floor.operator == ">="
        assert Version(pinned.version) == Version(floor.version)
