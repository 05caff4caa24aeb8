"""Prefetching keeps the order, works one ahead, and raises where the result was to come."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.backbones.load import load_backbone
from harness.backbones.spec import BackboneSpec
from harness.datasets import DatasetError, DatasetSpec, load_dataset
from harness.features.cache import FeatureCache
from harness.features.encode import BATCH, encode, to_tensor
from harness.features.prefetch import prefetched
from harness.run.frozen import image_features


def test_results_come_in_order_and_the_next_is_made_meanwhile() -> None:
    begun = [threading.Event() for _ in range(4)]

    def square(number: int) -> int:
        begun[number].set()
        return number * number

    results = prefetched(square, range(4))
    assert next(results) == 0
    assert begun[1].wait(10)  # without being asked for
    assert list(results) == [1, 4, 9]
    assert list(prefetched(square, [])) == []


def test_an_error_comes_in_its_place() -> None:
    results = prefetched(lambda number: 6 // number, [3, 2, 0])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_features_of_files_equal_those_of_one_batch_after_another(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(BATCH // 2 + 5):
            pixels = torch.randint(256, (40, 48, 3), dtype=torch.uint8, generator=generator)
            Image.fromarray(pixels.numpy()).save(tmp_path / label / f"{number}.png")
    data = load_dataset(DatasetSpec(name="files", kind="folder", root=str(tmp_path)))
    backbone = load_backbone(BackboneSpec(model="glyphs"), "cpu", "fp32")
    items = [item for split in data.splits.values() for item in split]
    found = image_features(data, items, backbone, FeatureCache(tmp_path / "cache"))
    assert len(items) > BATCH
    for start in (0, BATCH):
        chunk = items[start : start + BATCH]
        expected = encode(to_tensor(data.read(chunk), backbone), backbone)
        assert torch.equal(found[start : start + BATCH], expected)

    bad = tmp_path / items[-1].impath
    bad.write_bytes(bad.read_bytes()[:100])
    cache = FeatureCache(tmp_path / "cache")
    with pytest.raises(DatasetError, match=bad.name):
        image_features(data, items[::-1], backbone, cache)
    assert cache.computed == 0
