"""Pure statistics: t intervals, means over data sets, paired differences, ranks, the Pareto front.

The unit of replication is the few-shot draw. Draws on different data sets are independent, so in a
mean over D data sets these are *strata*: with s_d the standard deviation of the n_d draws of data
set d, SE² = Σ_d s_d²/n_d / D², and the t interval has Welch and Satterthwaite's degrees of freedom
(Satterthwaite, Biometrics Bulletin 1946; Cochran, Sampling Techniques, 3rd ed., section 5.4). It
says how much the mean moves when the draws are made again, for these data sets, and nothing about
other data sets. A data set whose seeds all drew the same images (there are no more) is *settled*:
it adds its mean and no variance. All intervals are two-sided 95 %; with one draw there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

LEVEL = 0.95
EXACT = 1e-9
"""Differences below this are rounding, in percent points."""
_MANY = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its t interval (NaN where the draws give none)."""

    mean: float
    half: float
    n: int
    """Distinct draws; of a mean over data sets, those of the data set with the fewest."""

    @property
    def includes_zero(self) -> bool:
        """True also where there is no interval: nothing is shown to differ from 0."""
        return isnan(self.half) or abs(self.mean) <= self.half + EXACT

    @property
    def verdict(self) -> str:
        """Of a difference: "above", "below" or "undecided"."""
        return "undecided" if self.includes_zero else ("above" if self.mean > 0 else "below")


@dataclass(frozen=True)
class Strata:
    """Means over data sets with their t intervals; every field has the same shape."""

    mean: Floats
    """Of the data sets that have a value: see `sets`."""
    half: Floats
    """NaN where a data set has no value or a single draw of several, or where all are settled."""
    df: Floats
    fewest: Counts
    most: Counts
    """Distinct draws of the data sets that have the fewest and the most."""
    sets: Counts
    """Data sets with a value."""
    whole: Flags
    """Whether all data sets have one: only such means are of the same task."""


def stratified(values: ArrayLike, settled: ArrayLike = False, part: ArrayLike = True) -> Strata:
    """Means over data sets of their draws' means.

    Args:
        values: (…, S, D), S draws on D data sets, NaN where there is no value.
        settled: (…, D), data sets whose draws are all one: no variance.
        part: (…, D), data sets that belong to the mean.
    """
    x = np.asarray(values, dtype=np.float64)
    inside, same = (
        np.broadcast_to(flags, (*x.shape[:-2], x.shape[-1])) for flags in (part, settled)
    )
    known = ~np.isnan(x)
    n = np.where(inside, known.sum(axis=-2), 0)
    mean = np.where(known, x, 0.0).sum(axis=-2) / np.maximum(n, 1)
    squares = np.where(known, (x - mean[..., None, :]) ** 2, 0.0).sum(axis=-2)
    varies = inside & ~same
    variance = np.where(varies, squares / np.maximum(n - 1, 1) / np.maximum(n, 1), 0.0)
    here, count = inside & (n > 0), inside.sum(axis=-1)
    sets = here.sum(axis=-1)
    whole = (sets == count) & (count > 0)
    total = variance.sum(axis=-1)
    spread = (variance**2 / np.maximum(n - 1, 1)).sum(axis=-1)
    free = np.where(varies, n - 1, 0).sum(axis=-1)  # where nothing varied, all are equally many
    df = np.where(spread > 0, total**2 / np.where(spread > 0, spread, 1.0), free)
    decided = whole & (free > 0) & ~(varies & (n < 2)).any(axis=-1)
    df = np.where(decided, df, nan)
    return Strata(
        mean=np.where(sets > 0, np.where(here, mean, 0.0).sum(axis=-1) / np.maximum(sets, 1), nan),
        half=np.asarray(stdtrit(df, 0.5 + LEVEL / 2) * np.sqrt(total) / np.maximum(count, 1)),
        df=df,
        fewest=np.where(sets > 0, np.where(here, n, _MANY).min(axis=-1, initial=_MANY), 0),
        most=n.max(axis=-1, initial=0),
        sets=sets,
        whole=whole,
    )


def paired(a: ArrayLike, b: ArrayLike, settled: ArrayLike = False) -> Interval:
    """a − b, both (S, D), over the draws that both have: the mean over data sets, t interval.

    NaN where a data set has no draw in common.
    """
    gap = stratified(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64), settled)
    whole = bool(gap.whole)
    return Interval(float(gap.mean) if whole else nan, float(gap.half), int(gap.fewest) * whole)


def mean_interval(values: ArrayLike) -> Interval:
    """Mean and t interval of the values that are not NaN: draws of one data set."""
    one = stratified(np.asarray(values, dtype=np.float64).ravel()[:, None])
    return Interval(float(one.mean), float(one.half), int(one.fewest))


def half_width(std: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Floats:
    """Half width of the t interval of a mean, t(level, n − 1) · std / √n; NaN where n < 2.

    `std` is the sample standard deviation (ddof 1).
    """
    count = np.asarray(n, dtype=np.float64)
    enough = count >= 2
    safe = np.where(enough, count, 2.0)
    t = np.asarray(stdtrit(safe - 1, 0.5 + level / 2), dtype=np.float64)
    return np.where(enough, t * np.asarray(std, dtype=np.float64) / np.sqrt(safe), nan)


def grouped(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Mean and t interval of `value` per group: columns mean, half, n, indexed by `by`."""
    stats = frame.groupby(by, sort=False)[value].agg(["mean", "std", "count"])
    stats["half"] = half_width(stats["std"].to_numpy(), stats["count"].to_numpy())
    return stats.rename(columns={"count": "n"})[["mean", "half", "n"]]


def ranks(names: Sequence[str], values: Floats, settled: ArrayLike = False) -> pd.DataFrame:
    """Rank intervals of methods from their `values` (R, S, D) on the same draws, larger is better.

    A method is *ahead* of another when the t interval of their paired difference lies above 0.
    `low` is 1 + the number of methods ahead of it, `high` the number of methods minus those it is
    ahead of: low = high only where the draws decide the place. `against` says how a method stands
    against the one with the highest mean: "highest" (itself), "below", or "undecided", and `gap`
    and `gap_half` by how much. Methods whose mean has no interval are left out; the intervals are
    not adjusted for the number of comparisons.
    """
    own = stratified(values, settled)
    kept = ~np.isnan(own.half)
    x, mean = values[kept], own.mean[kept]
    index = pd.Index([name for name, keep in zip(names, kept, strict=True) if keep], dtype=object)
    columns = ["low", "high", "against", "gap", "gap_half"]
    if not len(x):
        return pd.DataFrame(index=index, columns=columns)
    leader, ahead = int(mean.argmax()), np.zeros((len(x), len(x)), dtype=np.bool_)
    for i in range(len(x)):
        gap = stratified(x[i] - x, settled)
        ahead[i] = np.where(np.isnan(gap.half), False, gap.mean - gap.half > EXACT)
    gap = stratified(x - x[leader], settled)
    against = np.where(ahead[leader], "below", "undecided").astype(object)
    against[leader] = "highest"
    places = (1 + ahead.sum(axis=0), len(x) - ahead.sum(axis=1))
    made = dict(zip(columns, (*places, against, gap.mean, gap.half), strict=True))
    return pd.DataFrame(made, index=index)


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
