"""Two ways of computing the same thing, timed in turns, with the ratio printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def side_by_side(
    benchmark: Any,
    name: str,
    ours: Callable[[], Any],
    plain: Callable[[], Any],
    rounds: int = 3,
    labels: tuple[str, str] = ("plain", "ours"),
) -> float:
    """Time both in alternation (so that a busy machine hurts both) and print plain / ours.

    `ours` goes into pytest-benchmark's table; medians of both and their ratio are printed and
    kept in `extra_info`. Both should have run once before.
    """
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}

    def timed(key: str, run: Callable[[], Any]) -> None:
        start = time.perf_counter()
        run()
        seconds[key].append(time.perf_counter() - start)

    benchmark.pedantic(
        lambda: timed("ours", ours), setup=lambda: timed("plain", plain), rounds=rounds
    )
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    ratio = medians["plain"] / medians["ours"]
    benchmark.extra_info.update(medians, ratio=ratio)
    one, other = (
        f"{label} {s:.3f} s"
        for label, s in zip(labels, (medians["plain"], medians["ours"]), strict=True)
    )
    print(f"\n{name}: {one}, {other}, {ratio:.1f}×")
    return ratio
