"""Base-to-new: accuracy on the classes adapted to, on the others, and their harmonic mean H.

CoCoOp's protocol (Zhou et al., CVPR 2022): one table of averages, then one per data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.reports.cube import cube
from harness.reports.entries import NOT_TRANSFERABLE, line, mean_entry, named
from harness.reports.part import Part
from harness.reports.standing import Standing
from harness.reports.stats import Floats, stratified
from harness.reports.study import Study
from harness.reports.summary import average, mean_at
from harness.reports.table import NOT_APPLICABLE, Entry, Table

MEASURES = ("base", "new", "H")


class BaseToNew(Part):
    """The averages (of several data sets), then a table per data set; none for other settings."""

    name, title = "base_to_new", "Base to new classes"
    printed = 1

    def tables(self, study: Study) -> Sequence[Table]:
        return base_to_new_tables(study.grid, study.retention, study.standing)


def base_to_new_tables(grid: pd.DataFrame, retention: pd.DataFrame, at: Standing) -> list[Table]:
    """The averages (of several data sets), then a table per data set; none for other settings."""
    part = grid[grid["half"] == "base"]
    if part.empty:
        return []
    tested = retention[retention["half"] == "new"]
    new = dict(zip(tested["cell_id"], tested["top1"], strict=True))
    part = part.assign(new=part["cell_id"].map(new).astype("float64"))
    applicable = tested.groupby("row")["transfer"].all()
    several = {str(name): cells for name, cells in part.groupby("whole", sort=False)}
    tables = [_table(name, cells, applicable, at) for name, cells in several.items()]
    if len(several) > 1:
        tables.insert(0, _table(f"mean over {len(several)} data sets", part, applicable, at))
    return tables


def harmonic_mean(a: Any, b: Any) -> Floats:
    """2ab / (a + b), 0 where both are 0."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = a + b
    return np.asarray(2 * a * b / np.where(total == 0, 1, total))


def _table(name: str, part: pd.DataFrame, applicable: pd.Series[bool], at: Standing) -> Table:
    means = _means(part)
    lines = []
    for row in at.info.index:
        entries = []
        for k in at.shots:
            for measure in MEASURES:
                known = measure == "base" or bool(applicable.get(row, True))
                cell = mean_at(means[measure], row, k)
                entries.append(mean_entry(cell) if known else Entry(NOT_APPLICABLE))
        lines.append(line(at, row, entries))
    head = [f"{measure}, {at.drawn.name(k)}" for k in at.shots for measure in MEASURES]
    caption = f"Base to new, {name}: top-1, %"
    data = _data(name, means, at)
    notes = [*_NOTES, *([] if applicable.all() else [NOT_TRANSFERABLE]), *at.drawn.notes]
    heading = ("Method", *head)
    return Table(f"base_to_new_{name}", caption, heading, tuple(lines), data, tuple(notes))


_NOTES = (
    "base: the classes adapted to, told apart among themselves; new: the other half of the data "
    "set's classes, never seen in adaptation.",
    "H: harmonic mean of base and new as they stand in the line; of averages, not an average of "
    "the data sets' H (as in CoCoOp's tables). Its interval follows from theirs, to first order.",
)


def _means(part: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """An `average` table for each of `MEASURES`.

    The interval of H is that of its linear part at the means, ∂H/∂base = 2·new²/(base + new)².
    """
    base, new = average(part, "top1"), average(part, "new")
    ours, others = cube(part, "top1"), cube(part, "new")
    a, b = (each.averages().mean[..., None, None] for each in (ours, others))
    total = np.where(a + b == 0, 1, a + b)
    linear = 2 * (b**2 * ours.values + a**2 * others.values) / total**2
    found = stratified(linear, ours.settled, ours.tasks)
    there = np.nonzero(ours.there)  # as `average` orders its rows
    constant = new["constant"].to_numpy(dtype=np.bool_)
    h = new.assign(
        mean=harmonic_mean(base["mean"], new["mean"]),
        half=np.where(constant, np.nan, found.half[there]),
        df=np.where(constant, np.nan, found.df[there]),
        draws=np.where(constant, 0, found.fewest[there]),
    )
    return dict(zip(MEASURES, (base, new, h), strict=True))


def _data(name: str, means: dict[str, pd.DataFrame], at: Standing) -> pd.DataFrame:
    data = means["base"][["draws", "cells", "planned"]].copy()
    data.insert(0, "data", name)
    for measure in MEASURES:
        data[measure] = means[measure]["mean"]
        data[f"{measure}_half"] = means[measure]["half"]
    return named(data.reset_index(), at)
