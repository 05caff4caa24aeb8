"""The feature cache: computed once per content key, memory-mapped, checksummed.

A key is everything that can change the features: weights, precision, preprocessing, which images
in which order, which view; or which names under which templates. Files are shared by all workers; a
lock lets one of them compute.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from harness.canonical import content_id
from harness.store.atomic import write_atomically, write_bytes


class FeatureCache:
    """Tensors by content key, in memory-mapped files below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.computed = 0
        """How many entries this object had to compute, for tests and reports."""
        self.seconds = 0.0
        """Spent computing entries, or waiting for another process to."""
        self._open: dict[str, Tensor] = {}

    def get(self, key: Mapping[str, Any], compute: Callable[[], Tensor]) -> Tensor:
        """The cached tensor of `key`; computed, written and synced first if it is not there.

        The result is shared by all who ask, so it must not be written to; what plug-ins see is a
        copy. A file that does not match its checksum is computed again.
        """
        name = content_id(dict(key))
        if name not in self._open:
            path = self.root / name[:2] / f"{name}.npy"
            start = time.perf_counter()
            if not _intact(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(path.with_suffix(".lock")):
                    if not _intact(path):  # another worker may have been first
                        self._compute(path, compute)
            self.seconds += time.perf_counter() - start
            array = np.load(path, mmap_mode="c")  # copy on write: no write reaches the file
            self._open[name] = torch.from_numpy(array)
        return self._open[name]

    def _compute(self, path: Path, compute: Callable[[], Tensor]) -> None:
        array = compute().cpu().contiguous().numpy()
        self.computed += 1
        _seal_path(path).unlink(missing_ok=True)
        write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
        write_bytes(_seal_path(path), _seal(path).encode())


def _seal_path(path: Path) -> Path:
    return path.with_suffix(".seal")


def _seal(path: Path) -> str:
    """Checksum, size and time of last change, on one line."""
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    stat = path.stat()
    return f"{checksum} {stat.st_size} {stat.st_mtime_ns}"


def _intact(path: Path) -> bool:
    """Whether the file exists and has the content that was written.

    A file of the sealed size and time is trusted, so that opening one of gigabytes takes no time;
    any other (copied, or touched by something else) is read through once and sealed again.
    """
    try:
        seal = _seal_path(path).read_text()
        stat = path.stat()
        if seal.split()[1:] == [str(stat.st_size), str(stat.st_mtime_ns)]:
            return True
        now = _seal(path)
    except FileNotFoundError:
        return False
    if seal.split()[:2] != now.split()[:2]:
        return False
    write_bytes(_seal_path(path), now.encode())
    return True
