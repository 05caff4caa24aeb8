"""`Standing`: every average over data sets that a report needs, and the order of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.reports.shortfall import Drawn, drawn
from harness.reports.summary import Mean, average, mean_at, rank_table, row_info


@dataclass(frozen=True)
class Standing:
    """The averages that tables and findings are read from; each indexed by (row, shots)."""

    info: pd.DataFrame
    """See `summary.row_info`."""
    shots: tuple[int, ...]
    top1: pd.DataFrame
    gain: pd.DataFrame
    change: pd.DataFrame
    """Mean change of zero-shot accuracy over the retention sets."""
    ranks: pd.DataFrame
    transferable: pd.Series[bool]
    """Per row: whether it carries over to all of its retention sets."""
    trainable: pd.DataFrame
    """Per row: how many numbers were trained, `min` and `max` over cells."""
    drawn: Drawn
    """Where the images drawn are fewer than the shots say."""

    @property
    def last(self) -> int:
        """The most shots, by which rows are sorted."""
        return self.shots[-1]

    @property
    def order(self) -> list[str]:
        """Rows by mean top-1 at the most shots, equal ones in the plan's order.

        Then, in that order, rows without a mean over all data sets (one over fewer is another
        task's), and configurations of one method, method by method. Rows kept apart come last.
        """
        place = {str(row): i for i, row in enumerate(self.info.index)}
        return sorted(place, key=lambda row: self._key(row, place))

    def lacks(self, row: str) -> bool:
        """Whether the row has no number on one of the data sets at the most shots."""
        cell = self._at_last(row)
        return cell is None or not cell.whole

    def _at_last(self, row: str) -> Mean | None:
        return mean_at(self.top1, row, self.last) if self.shots else None

    def _key(self, row: str, place: dict[str, int]) -> tuple[bool, bool, bool, bool, float, int]:
        ranked, apart = bool(self.info.at[row, "ranked"]), bool(self.info.at[row, "apart"])
        group, cell, score = str(self.info.at[row, "group"]), self._at_last(row), 0.0
        lacks = cell is None or not cell.whole
        if group:
            score = place[self.group(group)[0]]
        elif cell is not None and not lacks:
            score = -round(cell.mean, 9)
        return not ranked, apart, bool(group), lacks and not group, score, place[row]

    def group(self, name: str) -> list[str]:
        """The rows that are configurations of one method, in the plan's order."""
        return [str(row) for row in self.info.index[self.info["group"] == name]]


def standing(grid: pd.DataFrame, frame: pd.DataFrame, retention: pd.DataFrame) -> Standing:
    """The standing of a grid (see `draws.broadcast`)."""
    info = row_info(frame)
    known = retention.groupby("row")["transfer"].all().reindex(info.index)
    counts = frame.dropna(subset=["trainable"]).groupby("row")["trainable"].agg(["min", "max"])
    return Standing(
        info=info,
        shots=tuple(sorted(int(k) for k in grid["shots"].unique())),
        top1=average(grid, "top1"),
        gain=average(grid, "gain"),
        change=average(grid, "retention_mean_change"),
        ranks=rank_table(grid, info),
        transferable=known.astype("boolean").fillna(True).astype(bool),
        trainable=counts.reindex(info.index),
        drawn=drawn(frame),
    )
