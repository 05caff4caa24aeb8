"""Pure statistics: t intervals, paired differences, ranks with ties, the Pareto front.

The unit of replication is the few-shot draw. An average over data sets has the interval of its
per-draw averages (the mean over data sets of draw 1, of draw 2, …): it says how much the average
moves when the draws are made again, for these data sets, and nothing about other data sets.
All intervals are two-sided 95 % Student t intervals; with one draw there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

LEVEL = 0.95
_EXACT = 1e-9
"""Differences below this are rounding, in percent points."""


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its t interval (NaN where n < 2)."""

    mean: float
    half: float
    n: int

    @property
    def includes_zero(self) -> bool:
        """True also where there is no interval: nothing is shown to differ from 0."""
        return isnan(self.half) or abs(self.mean) <= self.half + _EXACT


def half_width(std: ArrayLike, n: ArrayLike, level: float = LEVEL) -> NDArray[np.float64]:
    """Half width of the t interval of a mean, t(level, n − 1) · std / √n; NaN where n < 2.

    `std` is the sample standard deviation (ddof 1).
    """
    count = np.asarray(n, dtype=np.float64)
    enough = count >= 2
    safe = np.where(enough, count, 2.0)
    t = np.asarray(stdtrit(safe - 1, 0.5 + level / 2), dtype=np.float64)
    return np.where(enough, t * np.asarray(std, dtype=np.float64) / np.sqrt(safe), nan)


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Mean and t interval of the values that are not NaN."""
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[~np.isnan(known)]
    if known.size == 0:
        return Interval(nan, nan, 0)
    std = float(known.std(ddof=1)) if known.size > 1 else nan
    return Interval(float(known.mean()), float(half_width(std, known.size, level)), known.size)


def paired(a: pd.Series[float], b: pd.Series[float]) -> Interval:
    """Mean and t interval of a − b over the draws (index) that both have."""
    return mean_interval((a - b).dropna().to_numpy())


def grouped(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Mean and t interval of `value` per group: columns mean, half, n, indexed by `by`."""
    stats = frame.groupby(by, sort=False)[value].agg(["mean", "std", "count"])
    stats["half"] = half_width(stats["std"].to_numpy(), stats["count"].to_numpy())
    return stats.rename(columns={"count": "n"})[["mean", "half", "n"]]


def ranks(draws: pd.DataFrame) -> pd.DataFrame:
    """Rank intervals of methods (columns) from their values per draw (index), larger is better.

    A method is *ahead* of another when the t interval of their paired difference lies above 0.
    `low` is 1 + the number of methods ahead of it, `high` the number of methods minus those it is
    ahead of: low = high only where the draws decide the place. `best` marks the method with the
    highest mean and all whose paired difference to it includes 0. Methods with fewer than two
    draws are left out; the intervals are not adjusted for the number of comparisons.
    """
    known = draws.loc[:, draws.notna().sum() >= 2]
    table = pd.DataFrame(index=known.columns, columns=["low", "high", "best"])
    if known.shape[1] == 0:
        return table
    x = known.to_numpy(dtype=np.float64)
    difference = x[:, :, None] - x[:, None, :]
    n = (~np.isnan(difference)).sum(axis=0)
    count = np.maximum(n, 1)
    mean = np.nansum(difference, axis=0) / count
    squares = np.nansum((difference - mean) ** 2, axis=0)
    half = half_width(np.sqrt(squares / np.maximum(n - 1, 1)), n)
    ahead = np.where(np.isnan(half), False, mean - half > _EXACT)
    leader = int(np.nanmean(x, axis=0).argmax())
    table["low"] = 1 + ahead.sum(axis=0)
    table["high"] = x.shape[1] - ahead.sum(axis=1)
    table["best"] = ~ahead[leader]
    return table


def pareto(x: Sequence[float], y: Sequence[float]) -> list[bool]:
    """Which points no other point dominates, larger x and larger y being better.

    A point is dominated when another is at least as good in both and better in one. NaN points
    are never on the front.
    """
    points = [(-inf, -inf) if isnan(a) or isnan(b) else (a, b) for a, b in zip(x, y, strict=True)]
    return [
        p[0] > -inf and not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in points)
        for p in points
    ]
