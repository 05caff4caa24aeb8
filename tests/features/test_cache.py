"""The feature cache computes once, notices damage, and is shared between processes."""

from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from small_suite import SMALL, MakePlan

from harness.executors.base import Settings
from harness.executors.make import make_executor
from harness.features.cache import FeatureCache
from harness.run import resources

KEY = {"weights": "w", "items": ["a", "b"]}


def compute() -> torch.Tensor:
    return torch.arange(6.0).view(2, 3)


def test_computed_once_and_found_again(tmp_path: Path) -> None:
    first = FeatureCache(tmp_path)
    assert torch.equal(first.get(KEY, compute), compute())
    assert torch.equal(first.get(KEY, compute), compute())
    second = FeatureCache(tmp_path)
    assert torch.equal(second.get(KEY, compute), compute())
    assert (first.computed, second.computed) == (1, 0)


def test_another_key_is_another_entry(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.get(KEY, compute)
    other = cache.get({**KEY, "weights": "v"}, lambda: compute() + 1)
    assert torch.equal(other, compute() + 1)


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    FeatureCache(tmp_path).get(KEY, compute)
    (path,) = tmp_path.rglob("*.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    cache = FeatureCache(tmp_path)
    assert torch.equal(cache.get(KEY, compute), compute())
    assert cache.computed == 1


def test_a_copied_cache_is_read_through_and_trusted(tmp_path: Path) -> None:
    FeatureCache(tmp_path).get(KEY, compute)
    (path,) = tmp_path.rglob("*.npy")
    os.utime(path, ns=(1, 1))
    cache = FeatureCache(tmp_path)
    cache.get(KEY, compute)
    assert cache.computed == 0


def test_writing_into_a_result_reaches_no_file(tmp_path: Path) -> None:
    FeatureCache(tmp_path).get(KEY, compute).zero_()
    assert torch.equal(FeatureCache(tmp_path).get(KEY, compute), compute())


def _count(root: Path) -> int:
    cache = FeatureCache(root)
    cache.get(KEY, compute)
    return cache.computed


def test_of_several_processes_one_computes(tmp_path: Path) -> None:
    with get_context("spawn").Pool(3) as pool:
        assert sum(pool.map(_count, [tmp_path] * 3)) == 1


def test_a_second_run_of_a_suite_computes_no_features(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches: list[FeatureCache] = []

    class Known(FeatureCache):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            caches.append(self)

    monkeypatch.setattr(resources, "FeatureCache", Known)
    views = "  - {name: clip_adapter, config: {steps: 1, views: 2}}\n"
    cells = plan_of(SMALL + views).cells
    computed, logits = [], []
    for _ in range(2):
        events = list(make_executor("serial").run(cells, Settings(tmp_path, device="cpu")))
        records = [event.outcome.record for event in events if event.outcome is not None]
        assert {record.status for record in records} == {"ok"}
        computed.append(sum(cache.computed for cache in caches))
        logits.append([record.metrics for record in records])
        caches.clear()
    # Test sets: digits, georgian. Prompts of both. Of each draw: the plain view and two augmented.
    assert computed == [2 + 2 + 4 * 3, 0]
    assert logits[0] == logits[1]
