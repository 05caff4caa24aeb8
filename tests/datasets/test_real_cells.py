"""Whole cells on real photographs and on real CLIP features, where these are at hand."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disk import SHARED, needs
from numpy.typing import NDArray

from harness.datasets import DatasetSpec, load_dataset
from harness.plan.expand import make_plan
from harness.plan.suite import load_suite
from harness.run.cell import run_cell
from harness.run.resources import Resources
from harness.store.record import Record

Floats = NDArray[Any]

METHODS = """\
  - zero_shot
  - nearest_class_mean
  - {name: tip_adapter_f, config: {views: 2, train_views: 2, steps: 2}}
  - {name: lora, config: {steps: 1}}
"""


def run(tmp_path: Path, suite: str) -> dict[tuple[str, str], Record]:
    """Records by method and data set."""
    path = tmp_path / "suite.yaml"
    path.write_text(suite)
    resources = Resources(tmp_path / "cache", device="cpu")
    cells = make_plan(load_suite(path)).cells
    return {(cell.label, cell.dataset): run_cell(cell, resources).record for cell in cells}


@needs("images")
def test_cells_on_class_folders_of_photographs(tmp_path: Path) -> None:
    names = ("pacs_photo", "ucmerced")
    roots = [f"{{name: {n}, kind: folder, root: '{SHARED / 'images' / n}'}}" for n in names]
    found = run(
        tmp_path,
        f"backbone: glyphs\ndatasets: [{', '.join(roots)}]\nshots: [4]\nseeds: [1]\n"
        f"retention: [digits]\nmethods:\n{METHODS}",
    )
    for (label, name), record in found.items():
        entries = json.loads((SHARED / "images" / name / "split.json").read_text())
        assert record.status == "ok" and record.metrics and record.draw, record.failure
        assert record.metrics["images"] == len(entries["test"])
        assert record.identity.data.templates == (entries["template"],)
        shots = 0 if label == "zero_shot" else 4
        assert record.draw.images == shots * len(entries["classnames"])
    # A model that knows glyphs only names no photograph, but its features tell land use apart.
    learnt, frozen = (found[m, "ucmerced"].metrics for m in ("nearest_class_mean", "zero_shot"))
    assert learnt and frozen and learnt["top1"] > 3 * 100 / 21 > frozen["top1"]


def dtd10(root: Path) -> dict[str, list[tuple[str, int, str]]]:
    """The ten classes of DTD at hand, in CoOp's layout and in the order of its split file."""
    title, images = "split_zhou_DescribableTextures.json", SHARED / "images" / "dtd10"
    split = json.loads((SHARED / "coop" / "splits" / title).read_text())
    here = {part: [r for r in rows if (images / r[0]).is_file()] for part, rows in split.items()}
    names = sorted({name for _, _, name in here["test"]})
    rows = {part: [(p, names.index(n), n) for p, _, n in kept] for part, kept in here.items()}
    for path, _, _ in (row for part in rows.values() for row in part):
        link = root / "dtd" / "images" / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((images / path).resolve())
    (root / "dtd" / title).write_text(json.dumps(rows))
    return rows


DTD = """\
backbone: glyphs
datasets: [{name: dtd, root: .}]
shots: [2]
seeds: [3]
methods: [zero_shot, nearest_class_mean]
"""


@needs("images")
@needs("coop")
def test_a_cell_on_the_photographs_of_a_real_split_file(tmp_path: Path) -> None:
    rows = dtd10(tmp_path)
    record = run(tmp_path, DTD)["nearest_class_mean", "dtd"]
    assert record.metrics and record.metrics["images"] == len(rows["test"])
    assert record.identity.data.templates == ("{} texture.",)
    groups: dict[int, list[str]] = {}
    for path, label, _ in rows["train"]:
        groups.setdefault(label, []).append(path)
    rng = random.Random(3)
    drawn = sorted(
        [path, label] for label, paths in groups.items() for path in rng.sample(paths, 2)
    )
    identity = hashlib.sha256(json.dumps(drawn, separators=(",", ":")).encode()).hexdigest()
    assert record.draw and (record.draw.images, record.draw.id) == (20, identity)


@needs("images")
@needs("coop")
def test_a_truncated_photograph_is_named_by_the_cells_that_need_it(tmp_path: Path) -> None:
    path = tmp_path / "dtd" / "images" / dtd10(tmp_path)["test"][7][0]
    content = path.read_bytes()
    path.unlink()  # the link, not what it leads to
    path.write_bytes(content[: len(content) // 2])
    for record in run(tmp_path, DTD).values():
        assert record.status == "failed" and record.failure and record.failure.kind == "data"
        assert f"{path}: corrupt or truncated image" in record.failure.message


CLIP = """\
backbone: {features: CLIP ViT-B/32, feature_dim: 512, logit_scale: 100}
datasets: [{name: caltech101-41, kind: features, root: $FEATURES/caltech101.npz,
            text: $FEATURES/text_vocab_a_name.npz, classes: named}]
shots: [16]
seeds: [1]
methods: [zero_shot, {name: tip_adapter, config: {views: 1}}, coop, lora]
"""

ALL = """\
backbone: {features: CLIP ViT-B/32, feature_dim: 512, logit_scale: 100}
datasets: [{name: caltech101, kind: features, root: $FEATURES/caltech101.npz},
           {name: oxford_flowers, kind: features, root: $FEATURES/oxford_flowers.npz}]
shots: [16]
seeds: [1]
methods: [nearest_class_mean, zero_shot]
"""


@needs("features")
def test_cells_on_real_clip_features_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURES", str(SHARED / "features"))
    found = {label: record for (label, _), record in run(tmp_path, CLIP).items()}
    frozen, tip = found["zero_shot"].metrics, found["tip_adapter"].metrics
    assert frozen and tip and (frozen["images"], tip["images"]) == (1058, 1058)
    assert frozen["top1"] == pytest.approx(96.98, abs=0.005)
    assert tip["gain"] == pytest.approx(tip["top1"] - frozen["top1"])
    for method in ("coop", "lora"):  # they need an encoder
        assert found[method].status == "skipped", found[method].failure


@needs("features")
def test_tip_adapter_on_real_features_is_the_papers_formula_in_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training-free: the same predictions. -F, in another order of batches: the same gain."""
    monkeypatch.setenv("FEATURES", str(SHARED / "features"))
    entries = [f"{{name: tip_adapter{f}, config: {{views: 1{t}}}}}" for f, t in
               (("", ""), ("_f", ", train_views: 1"))]  # fmt: skip
    found = run(tmp_path, re.sub("methods: .*", f"methods: [{', '.join(entries)}]", CLIP))
    data = load_dataset(
        DatasetSpec(
            name="caltech",
            kind="features",
            root=str(SHARED / "features" / "caltech101.npz"),
            text=str(SHARED / "features" / "text_vocab_a_name.npz"),
            classes="named",
        )
    )
    (x, y), (test, right) = (
        (unit(data.features(items)), np.array([i.label for i in items]))
        for items in (data.items("train"), data.items("test"))
    )
    text, values = data.text_features(), np.eye(41)[y]
    assert text is not None

    def logits(f: Floats, keys: Floats) -> Floats:
        return 100 * f @ text.T + np.exp(f @ keys.T - 1) @ values

    def accuracy(keys: Floats) -> float:
        return 100 * float((logits(test, keys).argmax(1) == right).mean())

    tip, trained = (found[m, "caltech101-41"].metrics for m in ("tip_adapter", "tip_adapter_f"))
    assert tip and tip["top1"] == pytest.approx(accuracy(x), abs=0.1)
    keys, rng, steps = x.copy(), np.random.default_rng(0), 20 * 3
    m, v = np.zeros_like(x), np.zeros_like(x)
    for step in range(steps):  # AdamW by hand, 1e-3 on a cosine
        if step % 3 == 0:
            order = np.array_split(rng.permutation(len(x)), [256, 512])
        at = order[step % 3]
        scores = logits(x[at], keys)
        p = np.exp(scores - scores.max(1, keepdims=True))
        error = (p / p.sum(1, keepdims=True) - values[at]) / len(at)
        gradient = (error @ values.T * np.exp(x[at] @ keys.T - 1)).T @ x[at]
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        rate = 1e-3 * (1 + math.cos(math.pi * step / steps)) / 2
        unbiased, spread = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        keys = keys * (1 - rate * 1e-2) - rate * unbiased / (np.sqrt(spread) + 1e-4)
    assert trained and trained["top1"] == pytest.approx(accuracy(keys), abs=0.3)
    assert trained["gain"] is not None and trained["gain"] > 0.5


def unit(features: Floats) -> Floats:
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), np.float64)


@needs("features")
def test_cells_on_real_clip_features_without_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURES", str(SHARED / "features"))
    found = run(tmp_path, ALL)
    for name, percent in (("caltech101", 91.36), ("oxford_flowers", 92.33)):
        metrics = found["nearest_class_mean", name].metrics
        assert metrics and metrics["top1"] == pytest.approx(percent, abs=0.005)
        assert "gain" not in metrics and "zero_shot_top1" not in metrics
        assert found["zero_shot", name].status == "skipped"
