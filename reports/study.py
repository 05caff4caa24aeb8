"""`Study`: all that the parts of a report read, gathered from cells and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.reports.draws import broadcast
from harness.reports.frame import MISSING, PlannedCell, cell_frame, retention_frame
from harness.reports.published import Published
from harness.reports.standing import Standing, standing
from harness.reports.style import Look, looks
from harness.reports.summary import per_dataset
from harness.store.record import Record


@dataclass(frozen=True)
class Study:
    """What every part of a report reads."""

    frame: pd.DataFrame
    """One row per planned cell, as in `cells.csv`, and its table `row`."""
    grid: pd.DataFrame
    """The same with support-free methods repeated at every draw (see `draws.broadcast`)."""
    retention: pd.DataFrame
    """One row per finished cell and retention set."""
    standing: Standing
    """Averages over data sets, their ranks, and the order of the rows."""
    records: Mapping[str, Record]
    """By cell id; of planned cells only."""
    reference: str | None
    """The row that others are paired with."""
    published: tuple[Published, ...] = ()

    @cached_property
    def per_dataset(self) -> pd.DataFrame:
        """Mean and interval per data set, row and shots (see `summary.per_dataset`)."""
        return per_dataset(self.grid, ["top1", "per_class_mean", "ece", "gain"])

    @cached_property
    def looks(self) -> dict[str, Look]:
        """The colour and marker of every row, the same in all plots."""
        info = self.standing.info
        return looks(list(info.index), list(info.index[info["constant"]]))

    @property
    def counts(self) -> dict[str, int]:
        """Cells planned, ok, failed, skipped and missing."""
        found = self.frame["status"].value_counts()
        states = ("ok", "failed", "skipped", MISSING)
        return {"planned": len(self.frame), **{state: int(found.get(state, 0)) for state in states}}


def study(
    cells: Sequence[PlannedCell],
    records: Mapping[str, Record],
    reference: str | None = None,
    published: Sequence[Published] = (),
) -> Study:
    """What the records of `cells` say. Records of other cells are ignored.

    Args:
        reference: the label of the row that others are paired with; by default the first that
            uses no support set (the frozen model), else the first row.
    """
    frame = cell_frame(cells, records)
    grid, retention = broadcast(frame), retention_frame(frame, records)
    at = standing(grid, frame, retention)
    used = {cell: records[cell] for cell in frame["cell_id"] if cell in records}
    named = _reference(at, reference)
    return Study(frame, grid, retention, at, used, named, tuple(published))


def _reference(at: Standing, label: str | None) -> str | None:
    rows = at.info[~at.info["apart"]]
    for wanted in (rows["label"] == label, rows["constant"], rows["label"].notna()):
        if wanted.any():
            return str(rows.index[wanted.to_numpy()][0])
    return None
