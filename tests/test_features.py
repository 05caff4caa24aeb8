"""The feature cache computes once, notices damage, and is shared between processes."""

from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import torch

from harness.features import FeatureCache

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
