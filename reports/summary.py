"""Averages of cells: per data set, over data sets, and the differences between rows.

Everything here works on the frame of `draws.broadcast`: one row per planned cell and seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.protocols import PROTOCOLS
from harness.reports.cube import cube
from harness.reports.stats import Interval, grouped, paired, ranks


@dataclass(frozen=True)
class Mean:
    """One cell of `average`: see there."""

    mean: float
    half: float
    df: float
    draws: int
    most: int
    sets: int
    of: int
    cells: int
    planned: int
    constant: bool

    @property
    def whole(self) -> bool:
        """Whether every data set has a value: means over fewer are of another task."""
        return self.sets == self.of


@dataclass(frozen=True)
class Place:
    """The ranks that the draws leave open, and how the row stands against the highest mean."""

    low: int
    high: int
    against: str
    """"highest", "below" or "undecided"."""
    gap: Interval

    @property
    def first(self) -> bool:
        """Ahead of every other row, by a decision of the draws."""
        return self.against == "highest" and self.high == 1


def row_info(frame: pd.DataFrame) -> pd.DataFrame:
    """What is known of each table row, indexed by `row` in plan order.

    Columns: label, method, note, protocol, backbone; ranked (no test label chose anything),
    constant (uses no support set), beyond (chose on labels beyond the shots); apart, the rows that
    stand beside no others: not ranked, or beyond where a row has trained on fewer labels; group,
    for several configurations of one method that no search chose its name, else ""; and fair, the
    rows that are ranked among each other: neither apart nor one of several configurations, the best
    of which would be a selection by test accuracy.
    """
    columns = ["label", "method", "note", "protocol", "backbone", "origin", "beyond"]
    info = frame.drop_duplicates("row").set_index("row")[columns].copy()
    access = info["protocol"].map(PROTOCOLS)
    info["ranked"] = [one.ranked for one in access]
    info["constant"] = frame.groupby("row")["shots"].max().reindex(info.index) == 0
    whole = np.array([one.beyond_shots for one in access], dtype=np.bool_)
    fewer = info["ranked"] & ~info["constant"] & ~whole
    info["apart"] = ~info["ranked"] | (info["beyond"] & bool(fewer.any()))
    tried = frame.groupby("row")["evaluations"].max().reindex(info.index).astype("float64")
    given = info[~(tried > 0)]  # a configuration that a search chose was chosen on no test label
    same = given.groupby(["origin", "protocol", "backbone"], sort=False)["label"]
    several = (same.transform("size") > 1).reindex(info.index, fill_value=False)
    info["group"] = _group_names(info).where(several & info["ranked"], "")
    info["fair"] = ~info["apart"] & (info["group"] == "")
    return info.astype(dict.fromkeys(("ranked", "apart", "beyond", "fair"), "bool"))


def _group_names(info: pd.DataFrame) -> pd.Series[str]:
    names = info["method"].astype(str)
    for column in ("protocol", "backbone"):
        several = info.groupby("method")[column].transform("nunique") > 1
        names = names.where(~several, names + " [" + info[column].astype(str) + "]")
    return names


def average(grid: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean of `value` over data sets, per row and shots (the index).

    Columns: mean, half and df (see `stats.stratified`), draws and most (distinct draws of the data
    sets with the fewest and the most), sets (data sets with a value), of (data sets of the grid),
    cells (with a value), planned, constant. Rows that use no support set have one value per data
    set, no draws and no interval.
    """
    at = cube(grid, value)
    found = at.averages()
    fixed = np.broadcast_to(at.constant[:, None], found.mean.shape)
    tasks = np.broadcast_to(at.tasks.sum(axis=-1), fixed.shape)
    columns = {
        "mean": found.mean,
        "half": np.where(fixed, np.nan, found.half),
        "df": np.where(fixed, np.nan, found.df),
        "draws": np.where(fixed, 0, found.fewest),
        "most": np.where(fixed, 0, found.most),
        "sets": found.sets,
        "of": tasks,
        "cells": np.where(fixed, (at.cells > 0).sum(axis=-1), at.cells.sum(axis=-1)),
        "planned": np.where(fixed, tasks, at.planned.sum(axis=-1)),
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
    draws, most, sets, of = (int(cell[name]) for name in ("draws", "most", "sets", "of"))
    mean, half, df = (float(cell[name]) for name in ("mean", "half", "df"))
    cells, planned, constant = int(cell["cells"]), int(cell["planned"]), bool(cell["constant"])
    return Mean(mean, half, df, draws, most, sets, of, cells, planned, constant)


def place_at(table: pd.DataFrame, row: str, shots: int) -> Place | None:
    """The cell of a `rank_table`, None where the row is not ranked."""
    if (row, shots) not in table.index:
        return None
    cell: Any = table.loc[(row, shots)]
    gap = Interval(float(cell["gap"]), float(cell["gap_half"]), 0)
    return Place(int(cell["low"]), int(cell["high"]), str(cell["against"]), gap)


def differences(grid: pd.DataFrame, value: str, reference: str) -> dict[tuple[str, int], Interval]:
    """Paired differences to the reference row, per (row, shots), over common draws."""
    at = cube(grid, value)
    if reference not in at.rows:
        return {}
    found = {}
    for k in sorted(at.shots):
        values, settled = at.at(k)
        theirs = values[at.rows.index(reference)]
        for row, ours in zip(at.rows, values, strict=True):
            gap = paired(ours, theirs, settled)
            if row != reference and gap.n:
                found[row, k] = gap
    return found


def rank_table(grid: pd.DataFrame, info: pd.DataFrame, value: str = "top1") -> pd.DataFrame:
    """Rank intervals per row and shots (see `stats.ranks`) of the `fair` rows of `row_info`.

    Rows are ranked among those of the same backbone.
    """
    parts = []
    fair = grid[grid["row"].map(info["fair"]).astype(bool)]
    for _, same in fair.groupby("backbone", sort=False):
        at = cube(same, value)
        for shots in sorted(at.shots):
            table = ranks(at.rows, *at.at(shots))
            parts.append(table.assign(shots=shots).rename_axis("row"))
    parts = [part for part in parts if len(part)]
    if not parts:
        names = ["row", "shots", "low", "high", "against", "gap", "gap_half"]
        return pd.DataFrame(columns=names).set_index(["row", "shots"])
    return pd.concat(parts).set_index("shots", append=True)


def per_dataset(grid: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """Mean and t interval over distinct draws per dataset, row and shots (the index).

    Columns `<value>` and `<value>_half` for each value, then draws, planned and constant.
    """
    by = ["dataset", "row", "shots"]
    known = {value: (value, "mean") for value in values}
    each = grid.groupby([*by, "draw"], sort=False)
    draws = each.agg(**known, constant=("constant", "all")).reset_index()
    groups = draws.groupby(by, sort=False)
    table = pd.DataFrame({"planned": groups.size(), "constant": groups["constant"].all()})
    for value in values:
        stats = grouped(draws.astype({value: "float64"}), by, value)
        table[value] = stats["mean"]
        table[f"{value}_half"] = stats["half"].mask(table["constant"])
        if value == values[0]:
            table.insert(0, "draws", stats["n"].mask(table["constant"], 0).astype(int))
    return table
