"""What cells took: seconds and peak memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.reports.entries import line, named
from harness.reports.part import Part
from harness.reports.standing import Standing
from harness.reports.study import Study
from harness.reports.table import Entry, Table, number


class Cost(Part):
    """Medians over cells, per row and number of shots."""

    name, title = "cost", "Cost"

    def tables(self, study: Study) -> Sequence[Table]:
        return [cost_table(study.frame, study.standing)]


_COST = {
    "fit_seconds": ("fit, s", 2),
    "score_seconds": ("score, s", 2),
    "search_seconds": ("search, s", 2),
    "feature_seconds": ("features, s", 2),
    "evaluations": ("evaluations", 0),
    "peak_memory_mib": ("peak MiB", 0),
    "trainable": ("trainable", 0),
}
"""Column → heading and digits."""


def cost_table(frame: pd.DataFrame, at: Standing) -> Table:
    """Medians of measured seconds and peak memory over cells, per method and shots."""
    done = frame[frame["status"] == "ok"].astype(dict.fromkeys(_COST, "float64"))
    groups = done.groupby(["row", "shots"], sort=False)
    data = groups[list(_COST)].median().assign(cells=groups.size())
    lines = []
    for row in at.info.index:
        for k in sorted(frame.loc[frame["row"] == row, "shots"].unique()):
            if (row, k) in data.index:
                cell: Any = data.loc[(row, k)]
                texts = [number(cell[name], digits) for name, (_, digits) in _COST.items()]
                texts = [str(k) if k else "any", *texts, f"{int(cell['cells'])}"]
                lines.append(line(at, row, [Entry(text) for text in texts]))
    head = ("Method", "shots", *(heading for heading, _ in _COST.values()), "cells")
    caption = "Cost: medians over finished cells (differs from run to run and machine to machine)"
    note = "features: spent on frozen features that other cells then find in the cache."
    return Table("cost", caption, head, tuple(lines), named(data.reset_index(), at), (note,))
