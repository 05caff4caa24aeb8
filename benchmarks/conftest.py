"""Benchmarks leave no trace in each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Some set the number of threads of the CPU kernels, as the engine does; the next has all."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
