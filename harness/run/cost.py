"""What a piece of work costs: seconds and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.store.record import Cost

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Meter:
    """`with Meter(device, shared) as meter:` measures its block.

    `seconds` is wall-clock time, the device's queue drained at both ends, less what `shared()`
    grew by meanwhile: seconds spent on what later cells then have for free. `peak_memory_mib` is
    the most that the block had in use: on CUDA the allocator's peak; on Linux the peak resident
    memory of the process during the block; elsewhere of the process so far.
    """

    device: torch.device
    shared: Callable[[], float] = lambda: 0.0
    seconds: float = 0.0
    peak_memory_mib: float = 0.0

    def __enter__(self) -> Meter:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            _reset_peak()
        self._start = time.perf_counter() - self.shared()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.peak_memory_mib = torch.cuda.max_memory_allocated(self.device) / 2**20
        else:
            self.peak_memory_mib = _peak_mib()
        self.seconds = time.perf_counter() - self.shared() - self._start


def in_all(costs: Sequence[Cost]) -> Cost:
    """What the stages of a cell cost together: times and counts add up, peaks do not."""
    if len(costs) == 1:
        return costs[0]
    sums = {
        name: sum(getattr(cost, name) for cost in costs)
        for name in ("fit_seconds", "score_seconds", "search_seconds", "feature_seconds")
    }
    work: Counter[str] = Counter()
    for cost in costs:
        work.update(cost.work)
    return Cost(
        **sums,
        evaluations=sum(cost.evaluations for cost in costs),
        peak_memory_mib=max(cost.peak_memory_mib for cost in costs),
        trainable=costs[-1].trainable,
        work={**work, "adapts_images": max(cost.work["adapts_images"] for cost in costs)},
    )


def _reset_peak() -> None:
    try:
        _CLEAR.write_text("5")  # Linux: start VmHWM afresh
    except OSError:
        pass  # no such file, or not allowed: the peak is then of the process so far


def _peak_mib() -> float:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
