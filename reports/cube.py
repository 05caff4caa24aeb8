"""One measure of a grid as a dense array: table row × shots × draw × data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.reports.stats import Counts, Flags, Floats, Strata, stratified


@dataclass(frozen=True)
class Cube:
    """Sizes R, K, S, D: rows, numbers of shots, draws, data sets, in order of appearance."""

    rows: tuple[str, ...]
    shots: tuple[int, ...]
    datasets: tuple[str, ...]
    values: Floats
    """(R, K, S, D), NaN where there is no value. Seeds that drew the same images are one draw, and
    its value their mean."""
    cells: Counts
    """(R, K, D): cells with a value."""
    planned: Counts
    """(K, D): seeds that a row is expected to have."""
    settled: Flags
    """(K, D): all seeds drew the same images."""
    there: Flags
    """(R, K): whether the row has any cell at these shots."""
    constant: Flags
    """(R,): the row uses no support set; its values are the same for every draw."""

    @property
    def tasks(self) -> Flags:
        """(K, D): the data sets that an average over data sets is made of."""
        return np.asarray(self.planned > 0)

    def averages(self) -> Strata:
        """Means over data sets, each (R, K)."""
        return stratified(self.values, self.settled, self.tasks)

    def at(self, shots: int) -> tuple[Floats, Flags]:
        """(R, S, D) values and (D,) settled flags at one number of shots, its data sets only."""
        if shots not in self.shots:
            return np.zeros((len(self.rows), 0, 0)), np.zeros(0, dtype=np.bool_)
        k = self.shots.index(shots)
        here = self.tasks[k]
        return self.values[:, k][:, :, here], self.settled[k, here]


def cube(grid: pd.DataFrame, value: str) -> Cube:
    """The column `value` of a grid (see `draws.broadcast`) as a cube."""
    found = [pd.factorize(grid[name]) for name in ("row", "shots", "draw", "dataset")]
    r, k, s, d = (codes for codes, _ in found)
    rows, shots, draws, datasets = (list(axis) for _, axis in found)
    given = grid[value].to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(given)
    place = (r[known], k[known], s[known], d[known])
    shape = (len(rows), len(shots), len(draws), len(datasets))
    total, count = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    np.add.at(total, place, given[known])
    np.add.at(count, place, 1)
    fixed = grid["constant"].to_numpy(dtype=np.bool_)
    use = fixed if fixed.all() else ~fixed
    planned = _distinct(grid["seed"].to_numpy()[use], k[use], d[use], (shape[1], shape[3]))
    distinct = _distinct(s[use], k[use], d[use], (shape[1], shape[3]))
    there = np.zeros(shape[:2], dtype=np.bool_)
    there[r, k] = True
    constant = np.ones(len(rows), dtype=np.bool_)
    constant[r[~fixed]] = False
    return Cube(
        tuple(map(str, rows)),
        tuple(map(int, shots)),
        tuple(map(str, datasets)),
        np.where(count > 0, total / np.maximum(count, 1), np.nan),
        count.sum(axis=2),
        planned,
        np.asarray((distinct == 1) & (planned > 1)),
        there,
        constant,
    )


def _distinct(what: Any, k: Any, d: Any, shape: tuple[int, int]) -> Counts:
    """(K, D): how many different values of `what` stand at each place."""
    count = np.zeros(shape, dtype=np.int64)
    if len(what):
        places = np.unique(np.stack([what, k, d]), axis=1)
        np.add.at(count, (places[1], places[2]), 1)
    return count
