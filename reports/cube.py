"""One measure of a grid as a dense array: table row × shots × draw × data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.reports.stats import half_width

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cube:
    """Sizes R, K, S, D: rows, numbers of shots, draw seeds, data sets, in order of appearance."""

    rows: tuple[str, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    datasets: tuple[str, ...]
    values: Floats
    """(R, K, S, D), NaN where there is no value."""
    planned: Flags
    """(K, S, D): the draws that a row is expected to have."""
    there: Flags
    """(R, K): whether the row has any cell at these shots."""
    constant: Flags
    """(R,): the row uses no support set; its values are the same for every draw."""

    @property
    def tasks(self) -> Flags:
        """(K, D): the data sets that an average over data sets is made of."""
        return np.asarray(self.planned.any(axis=1))

    def per_draw(self) -> Floats:
        """(R, K, S) averages over data sets; NaN unless every data set has a value."""
        tasks = self.tasks[None, :, None, :]
        known = ~np.isnan(self.values)
        drawn: Flags = np.asarray(self.planned.any(axis=-1))
        whole = (known | ~tasks).all(axis=-1) & drawn[None]
        count = np.maximum(self.tasks.sum(axis=-1), 1)[None, :, None]
        mean = np.where(known & tasks, self.values, 0.0).sum(axis=-1) / count
        return np.where(whole, mean, np.nan)


def cube(grid: pd.DataFrame, value: str) -> Cube:
    """The column `value` of a grid (see `frame.broadcast`) as a cube."""
    names = ("row", "shots", "seed", "dataset")
    found = [pd.factorize(grid[name]) for name in names]
    r, k, s, d = (codes for codes, _ in found)
    rows, shots, seeds, datasets = (list(axis) for _, axis in found)
    values = np.full((len(rows), len(shots), len(seeds), len(datasets)), np.nan)
    values[r, k, s, d] = grid[value].to_numpy(dtype=np.float64, na_value=np.nan)
    fixed = grid["constant"].to_numpy(dtype=np.bool_)
    use = fixed if fixed.all() else ~fixed
    planned = np.zeros(values.shape[1:], dtype=np.bool_)
    planned[k[use], s[use], d[use]] = True
    there = np.zeros(values.shape[:2], dtype=np.bool_)
    there[r, k] = True
    constant = np.ones(len(rows), dtype=np.bool_)
    constant[r[~fixed]] = False
    return Cube(
        tuple(map(str, rows)),
        tuple(map(int, shots)),
        tuple(map(int, seeds)),
        tuple(map(str, datasets)),
        values,
        planned,
        there,
        constant,
    )


def mean_over(values: Floats, axis: int | tuple[int, ...]) -> Floats:
    """The mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def interval_over_draws(draws: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean, half width of the t interval and number of draws, over the last axis."""
    count = (~np.isnan(draws)).sum(axis=-1)
    mean = mean_over(draws, -1)
    squares = np.nansum((draws - mean[..., None]) ** 2, axis=-1)
    std = np.sqrt(squares / np.maximum(count - 1, 1))
    return mean, half_width(std, count), count
