"""A backbone that is only described: what it knows, what it refuses, what does not fit it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.backbones import BackboneSpec, load_backbone, weights_fingerprint
from harness.errors import HarnessError
from harness.plan.expand import make_plan
from harness.plan.suite import load_suite
from harness.run.cell import run_cell
from harness.run.resources import Resources
from harness.store.record import Record
from harness.task import Classes, FeaturesOnlyError

GIVEN = {"features": "ViT-B-32", "feature_dim": 4, "logit_scale": 100}


def spec(**changes: object) -> BackboneSpec:
    return BackboneSpec.model_validate({**GIVEN, **changes})


def test_it_knows_what_it_was_told_and_nothing_else() -> None:
    backbone = load_backbone(spec())
    assert (backbone.feature_dim, backbone.logit_scale, dict(backbone.sites)) == (4, 100.0, {})
    assert backbone.name == "ViT-B-32 (features)" and not backbone.has_encoder
    assert backbone.fingerprint == weights_fingerprint(spec())
    for use in (
        lambda: backbone.encode_image(torch.zeros(1, 3, 8, 8)),
        lambda: backbone.encode_text(["a"]),
        lambda: backbone.encode_prompts([[0, 1]]),
        lambda: backbone.text_features(Classes(("a",))),
        lambda: backbone.tokenize("a"),
        lambda: backbone.token_embedding([0]),
        lambda: backbone.image_size,
        lambda: backbone.model,
    ):
        with pytest.raises(FeaturesOnlyError, match=r"ViT-B-32 \(features\): features only"):
            use()
    assert copy.deepcopy(backbone).name == backbone.name


def test_its_identity_is_what_changes_logits() -> None:
    prints = {weights_fingerprint(s) for s in (spec(), spec(logit_scale=50), spec(feature_dim=8))}
    assert len(prints) == 3
    assert weights_fingerprint(spec(features="other")) == weights_fingerprint(spec())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logit_scale": None}, 'the key "logit_scale" is missing beside features, such as 100'),
        ({"feature_dim": None}, 'the key "feature_dim" is missing'),
        ({"model": "ViT-B-32"}, "model: not with features"),
        ({"pretrained": "openai"}, "pretrained: not with features"),
        ({"features": None}, 'the key "model" is missing'),
        ({"features": None, "model": "glyphs"}, "feature_dim: only with features"),
        ({"logit_scale": 0}, "greater than 0"),
        ({"feature_dim": 4.5}, "valid integer"),
    ],
)
def test_half_a_description_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**changes)


SUITE = """\
backbone: {features: hand-made, feature_dim: 4, logit_scale: 100}
datasets: [{name: mine, kind: features, root: f.npz}]
shots: [1]
seeds: [1]
methods: [linear_probe, zero_shot, {name: clip_adapter, config: {steps: 1, views: 1}}]
"""
TEXT = SUITE.replace("f.npz}", "f.npz, text: t.npz}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes along the first two axes; every test image is beside its own class."""
    x = np.array([[1, 0.1, 0, 0], [0.1, 1, 0, 0]], np.float32)
    data = {f"{split}_{key}": value for split in ("train", "test") for key, value in
            (("x", x), ("y", np.arange(2)))}  # fmt: skip
    np.savez(tmp_path / "f.npz", classnames=np.array(["a", "b"]), **data)
    np.savez(tmp_path / "t.npz", emb=np.eye(2, 4, dtype=np.float32)[::-1])  # names swapped
    return tmp_path


def run(folder: Path, text: str) -> dict[str, Record]:
    path = folder / "suite.yaml"
    path.write_text(text)
    resources = Resources(folder / "cache", device="cpu")
    return {c.label: run_cell(c, resources).record for c in make_plan(load_suite(path)).cells}


def test_without_text_methods_that_need_none_run_and_the_others_are_skipped(folder: Path) -> None:
    found = run(folder, SUITE)
    metrics = found["linear_probe"].metrics
    assert metrics and metrics["top1"] == 100.0
    assert metrics.keys() == {"images", "top1", "per_class_mean", "ece"}
    again = Record.from_json(found["linear_probe"].to_json())
    assert again == found["linear_probe"]
    for label in ("zero_shot", "clip_adapter"):
        failure = found[label].failure
        assert found[label].status == "skipped" and failure
        assert "brings no text features" in failure.message


def test_with_text_the_gain_is_over_zero_shot_at_the_given_scale(folder: Path) -> None:
    found = run(folder, TEXT)
    frozen, probe = found["zero_shot"].metrics, found["linear_probe"].metrics
    assert frozen and frozen["top1"] == 0.0, "the names are swapped"
    assert probe and (probe["gain"], probe["won"], probe["lost"]) == (100.0, 2, 0)
    # cos to the wrong and right name is 1/√1.01 and .1/√1.01: at τ = 1 the confidence is
    # 1/(1 + e^(−.9/√1.01)), all of it wrong.
    at_one = run(folder, TEXT.replace("logit_scale: 100", "logit_scale: 1"))["zero_shot"].metrics
    expected = 100 / (1 + np.exp(-0.9 / np.sqrt(1.01)))
    assert at_one and at_one["ece"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("feature_dim: 4", "feature_dim: 5", "have width 4, the backbone says feature_dim: 5"),
        ("{name: mine, kind: features, root: f.npz}", "digits", "digits: has images, and the"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(
    folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / "suite.yaml"
    path.write_text(SUITE.replace(old, new))
    with pytest.raises(HarnessError, match=r"suite.yaml:2: datasets\[0\]: ") as error:
        make_plan(load_suite(path))
    assert message in str(error.value)


def test_features_of_another_model_than_the_backbone_are_named(folder: Path) -> None:
    text = SUITE.replace("{features: hand-made, feature_dim: 4, logit_scale: 100}", "glyphs")
    failure = run(folder, text)["linear_probe"].failure
    assert failure and failure.kind == "data"
    assert "width 4" in failure.message and "backbone: {features: NAME" in failure.message


def test_base_to_new_finds_the_text_of_both_halves(tmp_path: Path) -> None:
    """Four classes along four axes, image and text alike: zero-shot is right on both halves."""
    x = np.eye(4, dtype=np.float32) + 0.1
    data = {f"{split}_{key}": value for split in ("train", "test") for key, value in
            (("x", x), ("y", np.arange(4)))}  # fmt: skip
    np.savez(tmp_path / "f.npz", classnames=np.array(["a", "b", "c", "d"]), **data)
    np.savez(tmp_path / "t.npz", emb=np.eye(4, dtype=np.float32))
    found = run(tmp_path, TEXT + "setting: base_to_new\n")
    for label in ("zero_shot", "clip_adapter"):
        record = found[label]
        assert record.status == "ok", record.failure
        (new,) = record.retention.values()
        assert record.metrics and record.metrics["top1"] == 100.0
        assert new and new.metrics["top1"] == 100.0 and new.rule == "rebind"
