"""Averages of cells: per data set, over data sets, and the draws behind them.

Everything here works on the frame of `frame.broadcast`: one row per planned cell and draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.protocols import PROTOCOLS
from harness.reports.cube import cube, interval_over_draws, mean_over
from harness.reports.stats import grouped, ranks


@dataclass(frozen=True)
class Mean:
    """One cell of `average`: see there."""

    mean: float
    half: float
    draws: int
    cells: int
    planned: int
    constant: bool


@dataclass(frozen=True)
class Place:
    """The ranks that the draws leave open, and whether the row may be the best."""

    low: int
    high: int
    best: bool


def row_info(frame: pd.DataFrame) -> pd.DataFrame:
    """What is known of each table row, indexed by `row` in plan order.

    Columns: label, method, note, protocol, backbone, ranked (no test label chose anything),
    constant (uses no support set), and `fair`: the rows that are compared with each other. Of
    those that saw labels beyond the shots only where no row has trained on fewer.
    """
    columns = ["label", "method", "note", "protocol", "backbone"]
    info = frame.drop_duplicates("row").set_index("row")[columns].copy()
    info["ranked"] = info["protocol"].map(lambda name: PROTOCOLS[name].ranked).astype(bool)
    info["constant"] = frame.groupby("row")["shots"].max().reindex(info.index) == 0
    beyond = info["protocol"].map(lambda name: PROTOCOLS[name].beyond_shots).astype(bool)
    fewer = info["ranked"] & ~info["constant"] & ~beyond
    info["fair"] = info["ranked"] & ~(beyond & bool(fewer.any()))
    return info


def average(grid: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean of `value` over data sets, per row and shots (the index).

    Columns: mean, half (t interval of the per-draw averages), draws (how many of these there
    are), cells (with a value), planned, constant. A per-draw average counts only where every data
    set of the grid has a value: leaving one out would compare different tasks. Where no draw is
    whole, the mean of the data sets' own means stands in, without an interval (draws is 0). Rows
    that use no support set have one value per data set, no draws and no interval.
    """
    at = cube(grid, value)
    mean, half, draws = interval_over_draws(at.per_draw())
    partial = mean_over(mean_over(at.values, 2), -1)
    known = ~np.isnan(at.values)
    fixed = np.broadcast_to(at.constant[:, None], mean.shape)
    planned = np.broadcast_to(at.planned.sum(axis=(1, 2)), mean.shape)
    columns = {
        "mean": np.where(np.isnan(mean), partial, mean),
        "half": np.where(fixed, np.nan, half),
        "draws": np.where(fixed, 0, draws),
        "cells": np.where(fixed, known.any(axis=2).sum(axis=-1), known.sum(axis=(2, 3))),
        "planned": np.where(fixed, at.tasks.sum(axis=-1), planned),
        "constant": fixed,
    }
    r, k = np.nonzero(at.there)
    keys = [(at.rows[i], at.shots[j]) for i, j in zip(r, k, strict=True)]
    index = pd.MultiIndex.from_tuples(keys, names=["row", "shots"])
    return pd.DataFrame({name: table[r, k] for name, table in columns.items()}, index=index)


def mean_at(table: pd.DataFrame, row: str, shots: int) -> Mean | None:
    """The cell of an `average` table, None where it has no such row."""
    if (row, shots) not in table.index:
        return None
    cell: Any = table.loc[(row, shots)]
    draws, cells, planned = (int(cell[name]) for name in ("draws", "cells", "planned"))
    constant = bool(cell["constant"])
    return Mean(float(cell["mean"]), float(cell["half"]), draws, cells, planned, constant)


def place_at(table: pd.DataFrame, row: str, shots: int) -> Place | None:
    """The cell of a `rank_table`, None where the row is not ranked."""
    if (row, shots) not in table.index:
        return None
    cell: Any = table.loc[(row, shots)]
    return Place(int(cell["low"]), int(cell["high"]), bool(cell["best"]))


def draw_matrix(grid: pd.DataFrame, value: str, shots: int) -> pd.DataFrame:
    """Per-draw averages at one number of shots: draws (seed) × rows with any, in plan order."""
    at = cube(grid[grid["shots"] == shots], value)
    if not at.shots:
        return pd.DataFrame()
    matrix = pd.DataFrame(at.per_draw()[:, 0, :].T, index=list(at.seeds), columns=list(at.rows))
    return matrix.dropna(axis=1, how="all").sort_index()


def rank_table(grid: pd.DataFrame, info: pd.DataFrame, value: str = "top1") -> pd.DataFrame:
    """Rank intervals per row and shots (see `stats.ranks`) of the `fair` rows of `row_info`.

    Rows are ranked among those of the same backbone.
    """
    parts = []
    fair = grid[grid["row"].map(info["fair"]).astype(bool)]
    for _, same in fair.groupby("backbone", sort=False):
        for shots in sorted(same["shots"].unique()):
            table = ranks(draw_matrix(same, value, int(shots)))
            parts.append(table.assign(shots=int(shots)).rename_axis("row"))
    if not parts:
        empty = pd.DataFrame(columns=["row", "shots", "low", "high", "best"])
        return empty.set_index(["row", "shots"])
    return pd.concat(parts).set_index("shots", append=True)


def per_dataset(grid: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """Mean and t interval over draws per dataset, row and shots (the index), for each value.

    Columns `<value>` and `<value>_half`, then draws, planned and constant.
    """
    by = ["dataset", "row", "shots"]
    groups = grid.groupby(by, sort=False)
    table = pd.DataFrame(
        {"planned": groups["seed"].nunique(), "constant": groups["constant"].all()}
    )
    for value in values:
        stats = grouped(grid, by, value)
        table[value] = stats["mean"]
        table[f"{value}_half"] = stats["half"].mask(table["constant"])
        if value == values[0]:
            table.insert(0, "draws", stats["n"].mask(table["constant"], 0).astype(int))
    return table
