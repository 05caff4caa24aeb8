"""A full disk stops a run in one line, wherever the write happens, and nothing is lost."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import harness
from running import ONE_SET, Run, with_plugin
from small_suite import MakePlan

from harness.store.atomic import write_atomically
from harness.store.store import Store


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """No file may grow beyond `count` bytes: a write that crosses it is a short one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_short_write_is_a_full_disk(tmp_path: Path) -> None:
    """NumPy's error of one has neither a number nor a name."""
    path = tmp_path / "features.npy"
    with files_of_at_most(10_000), pytest.raises(OSError, match="No space left") as found:
        write_atomically(path, lambda file: np.save(file, np.zeros(1_000_000)))
    assert (found.value.errno, found.value.filename) == (errno.ENOSPC, str(path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["cache", "cells", "logits", "reports"])
def test_it_stops_the_run_wherever_it_is_met(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, results = tmp_path / "small.yaml", tmp_path / "r"
    suite.write_text(ONE_SET + "keep_logits: true\n")
    replace, written = os.replace, []

    def full(source: str, target: Path, **more: Any) -> None:
        if folder in Path(target).relative_to(results).parts and written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        written.extend([target] if folder in Path(target).parts else [])
        replace(source, target, **more)

    monkeypatch.setattr("harness.store.atomic.os.replace", full)
    ran = harness("run", suite, "--results", results, "--executor", "serial")
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert f"{results / folder}" in line and "No space left on device; " in line
    assert "failed:" not in ran.stdout, "it is no cell's failure"
    monkeypatch.undo()
    kept = Store(results).all()
    assert not kept.failures and not kept.corrupt and not list(results.rglob(".*.tmp"))
    assert harness("run", suite, "--results", results, "--executor", "serial").returncode == 0


def test_a_worker_of_ray_that_meets_it_stops_the_run(plan_of: MakePlan, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as found:
        Run(plan_of(with_plugin("FillsTheDisk", text=ONE_SET)), tmp_path / "r", "ray")
    assert (found.value.errno, found.value.filename) == (errno.ENOSPC, "/full/disk")
