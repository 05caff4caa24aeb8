"""Accuracy on every data set, at every number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.reports.entries import line, named
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import NONE, Entry, Table, interval, number


class PerDataset(Part):
    """One table per data set: top-1 with its interval over draws."""

    name, title = "per_dataset", "Accuracy"
    side_by_side = True

    def tables(self, study: Study) -> Sequence[Table]:
        grid, at = study.grid, study.standing
        if not len(grid):
            return ()
        stats = study.per_dataset
        frozen = grid.groupby("dataset")["zero_shot_top1"].mean()
        head = ("Method", *map(at.drawn.name, at.shots))
        made = []
        for dataset in map(str, grid["dataset"].unique()):
            lines = tuple(
                line(at, row, [_entry(stats, (dataset, row, k)) for k in at.shots])
                for row in at.info.index
            )
            under = ("", *(at.drawn.under(dataset, k) for k in at.shots))
            caption = f"{dataset}: top-1, % (frozen zero-shot {number(frozen[dataset])})"
            data = named(stats.loc[[dataset]].reset_index(), at)
            made.append(Table(dataset, caption, head, lines, data, under=under))
        return made


def _entry(stats: pd.DataFrame, key: Any) -> Entry:
    if key not in stats.index:
        return Entry(NONE)
    cell: Any = stats.loc[key]
    planned = int(cell["planned"])
    text = interval(cell["top1"], cell["top1_half"])
    if text == NONE:
        return Entry(NONE, f"n = 0/{planned}" if not cell["constant"] else "missing")
    if cell["constant"]:
        return Entry(text, "no draw")
    short = int(cell["draws"]) < planned
    return Entry(f"{text}*" if short else text, f"n = {int(cell['draws'])}" + f"/{planned}" * short)
