"""Cells without a number."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.errors import few
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table


class Undone(Part):
    """By method, status and reason, with the first few of each group."""

    name, title = "undone", "Cells without a number"
    words = True

    def tables(self, study: Study) -> Sequence[Table]:
        table = undone_table(study.frame)
        return [table] if table.lines else ()


def undone_table(frame: pd.DataFrame) -> Table:
    """Cells without a number, grouped by status and reason, with the first few of each group."""
    undone = frame[frame["status"] != "ok"]
    keys = ["status", "failure_kind", "failure", "row"]
    lines = []
    for (status, kind, message, row), cells in undone.groupby(keys, sort=False, dropna=False):
        names = [
            f"{c.dataset}, {c.shots} shots, seed {c.seed}"
            for c in cells[["dataset", "shots", "seed"]].itertuples()
        ]
        which = few(names, 5, "; ")
        texts = (str(status), f"{len(cells):,}", _reason(str(kind), str(message)), which)
        lines.append(Line(str(row), tuple(map(Entry, texts))))
    head = ("Method", "status", "cells", "reason", "which")
    return Table("undone", "Cells without a number, by method and reason", head, tuple(lines))


def _reason(kind: str, message: str) -> str:
    return ": ".join(filter(None, [kind, message])) or "no record"
