"""A suite of six cheap cells on the embedded model."""

from __future__ import annotations

from collections.abc import Callable

from harness.plan.expand import Plan

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
"""Writes a suite file and plans it; see the fixture `plan_of`."""
