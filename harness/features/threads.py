"""Threads: how many cores this process may use, and work spread over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(function: Callable[[In], Out], values: Sequence[In]) -> list[Out]:
    """`function` of each value, in order, on a few threads (decoding leaves Python's lock)."""
    threads = min(8, cores())
    if threads == 1 or len(values) < 8:
        return [function(value) for value in values]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, values))
