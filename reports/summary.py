"""Averages of cells: per data set, over data sets, and the draws behind them.

Everything here works on the frame of `frame.broadcast`: one row per planned cell and draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.stats import grouped, half_width, ranks

ORACLE = "oracle"


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

    Columns: label, method, note, protocol, backbone, oracle, constant (uses no support set).
    """
    columns = ["label", "method", "note", "protocol", "backbone"]
    info = frame.drop_duplicates("row").set_index("row")[columns].copy()
    info["oracle"] = info["protocol"] == ORACLE
    info["constant"] = frame.groupby("row")["shots"].max().reindex(info.index) == 0
    return info


def average(grid: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean of `value` over data sets, per row and shots (the index).

    Columns: mean, half (t interval of the per-draw averages), draws (how many of these there
    are), cells (with a value), planned. A per-draw average counts only where every data set of
    the grid has a value: leaving one out would compare different tasks. Where no draw is whole,
    the mean of the data sets' own means stands in, without an interval (draws is 0). Rows that
    use no support set have one value per data set, no draws and no interval.
    """
    by = ["row", "shots"]
    planned = expected(grid)
    usable = grid.dropna(subset=[value])
    whole = per_draw(grid, value)
    table = whole.groupby(by, sort=False)["mean"].agg(["mean", "std", "count"])
    table["half"] = half_width(table["std"].to_numpy(), table["count"].to_numpy())
    partial = usable.groupby([*by, "dataset"], sort=False)[value].mean()
    partial = partial.groupby(level=by, sort=False).mean()
    index = pd.MultiIndex.from_frame(grid[by].drop_duplicates())
    table = table.reindex(index).rename(columns={"count": "draws"})
    table["mean"] = table["mean"].fillna(partial)
    table["draws"] = table["draws"].fillna(0).astype(int)
    table["cells"] = usable.groupby(by).size().reindex(index).fillna(0).astype(int)
    table["planned"] = planned.reindex(index.get_level_values("shots"))["cells"].to_numpy()
    constant = grid.groupby(by)["constant"].all().reindex(index).to_numpy(dtype=bool)
    datasets = planned.reindex(index.get_level_values("shots"))["datasets"].to_numpy()
    found = usable.groupby(by)["dataset"].nunique().reindex(index).fillna(0).astype(int)
    table.loc[constant, "half"] = float("nan")
    table.loc[constant, "draws"] = 0
    table.loc[constant, "planned"] = datasets[constant]
    table.loc[constant, "cells"] = found[constant]
    table["constant"] = constant
    return table[["mean", "half", "draws", "cells", "planned", "constant"]]


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


def expected(grid: pd.DataFrame) -> pd.DataFrame:
    """Per shots: how many data sets and cells (data set × draw) a complete row has."""
    few = grid[~grid["constant"]]
    pairs = (few if len(few) else grid)[["shots", "dataset", "seed"]].drop_duplicates()
    groups = pairs.groupby("shots")
    return pd.DataFrame({"datasets": groups["dataset"].nunique(), "cells": groups.size()})


def per_draw(grid: pd.DataFrame, value: str) -> pd.DataFrame:
    """Per-draw averages over data sets: columns row, shots, seed, mean; whole draws only."""
    usable = grid.dropna(subset=[value])
    by = ["row", "shots", "seed"]
    table = usable.groupby(by, sort=False).agg(mean=(value, "mean"), found=("dataset", "nunique"))
    table = table.reset_index()
    wanted = table["shots"].map(expected(grid)["datasets"])
    return table.loc[table["found"] == wanted, [*by, "mean"]]


def draw_matrix(grid: pd.DataFrame, value: str, shots: int) -> pd.DataFrame:
    """Per-draw averages at one number of shots: draws (seed) × rows, in plan order of rows."""
    table = per_draw(grid[grid["shots"] == shots], value)
    matrix = table.pivot_table(index="seed", columns="row", values="mean", aggfunc="mean")
    return matrix.reindex(columns=[row for row in grid["row"].unique() if row in matrix.columns])


def rank_table(grid: pd.DataFrame, value: str = "top1") -> pd.DataFrame:
    """Rank intervals per row and shots (see `stats.ranks`); oracle rows take no part.

    Rows are ranked among those of the same backbone.
    """
    parts = []
    fair = grid[grid["protocol"] != ORACLE]
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
