"""Cells and candidates that train together, against the same ones run one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from running import Run, with_plugin
from small_suite import MakePlan

from harness.methods.heads.clip_adapter import CLIPAdapter

PACKED = """\
backbone: glyphs
datasets: [digits]
shots: [1, 2]
seeds: [1, 2, 3]
retention: [greek]
keep_logits: true
augment: {scale: [0.8, 1.0], flip: false}
methods:
  - zero_shot
  - {name: clip_adapter, config: {steps: 12, views: 2, lr: [0.1, 1.0]}}
  - {name: tip_adapter_f, config: {steps: 12, views: 2, train_views: 2}}
"""


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_packed_records_are_those_of_single_cells(
    plan_of: MakePlan, tmp_path: Path, executor: str
) -> None:
    plan = plan_of(with_plugin("Unpackable", "{rate: [1.0, 2.0]}", PACKED))
    single = Run(plan, tmp_path / "single")
    packed = Run(plan, tmp_path / "packed", executor, workers=2, pack=True)
    assert packed.result.ran == len(plan.cells) == 1 + 2 * 3 * 5
    assert packed.result.failed == 0
    replicas = {1: 0, 3: 0, 6: 0}
    for cell in plan.cells:
        one, other = (run.contents.records[cell.id] for run in (single, packed))
        replicas[other.provenance["replicas"]] += 1
        assert one.provenance["replicas"] == 1
        assert one.metrics is not None and other.metrics is not None
        for field in dataclasses.fields(one.metrics):
            value = getattr(other.metrics, field.name)
            assert value == pytest.approx(getattr(one.metrics, field.name), rel=1e-5)
        guesses = [
            np.load(run.store.root / "logits" / f"{cell.id}.npz")["logits"].argmax(-1)
            for run in (single, packed)
        ]
        assert (guesses[0] == guesses[1]).all()
    # By shots: six adapters (two rates, three seeds) and three caches; zero-shot by itself, and
    # the twelve cells of a method whose packs of six failed.
    assert replicas == {1: 1 + 12, 3: 6, 6: 12}
    assert packed.retried() == ["its pack of 6 failed (no replicas today)"] * 12


def test_a_search_trains_its_candidates_together(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PACKED.replace("seeds: [1, 2, 3]", "seeds: [1]\nprotocol: val_search").replace(
        "lr: [0.1, 1.0]}", "ratio: 0.5}, search: {ratio: [0.2, 0.6], lr: [0.1, 1.0]}"
    )
    plan = plan_of(text).keep(lambda cell: cell.label == "clip_adapter")
    packed = Run(plan, tmp_path / "packed")
    monkeypatch.setattr(CLIPAdapter, "packs", None)
    single = Run(plan, tmp_path / "single")
    for cell in plan.cells:
        one, other = (run.contents.records[cell.id] for run in (single, packed))
        assert len(one.search) == 4 and one.search == other.search
        assert one.chosen == other.chosen
