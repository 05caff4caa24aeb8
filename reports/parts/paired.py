"""Paired differences: every row minus the reference, draw by draw."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.reports.entries import NOT_TRANSFERABLE, line
from harness.reports.part import Part
from harness.reports.stats import Interval
from harness.reports.study import Study
from harness.reports.summary import differences
from harness.reports.table import NONE, NOT_APPLICABLE, Entry, Table, interval

_COLUMNS = ["row", "reference", "measure", "shots", "difference", "half", "draws", "verdict"]


class Paired(Part):
    """Top-1 and mean change on the retention sets, minus the reference's on the same draws."""

    name, title = "paired", "Paired differences"

    def tables(self, study: Study) -> Sequence[Table]:
        reference, at = study.reference, study.standing
        if reference is None:
            return ()
        top1 = differences(study.grid, "top1", reference)
        change = differences(study.grid, "retention_mean_change", reference)
        lines, found = [], []
        for row in (row for row in at.info.index if row != reference):
            entries = []
            for measure, table in (("top1", top1), ("retention_change", change)):
                for k in at.shots:
                    gap = table.get((row, k))
                    applicable = measure == "top1" or bool(at.transferable[row])
                    entries.append(_entry(gap) if applicable else Entry(NOT_APPLICABLE))
                    if gap is not None:
                        numbers = (gap.mean, gap.half, gap.n, gap.verdict)
                        found.append((row, reference, measure, k, *numbers))
            lines.append(line(at, row, entries))
        head = ["Method", *(f"top-1, {at.drawn.name(k)}" for k in at.shots)]
        head += [f"retention, {at.drawn.name(k)}" for k in at.shots]
        caption = f"Paired differences to {reference}, points (same draws, 95 % t interval)"
        data = pd.DataFrame(found, columns=_COLUMNS)
        notes = [_NOTE, *at.drawn.notes, *([] if at.transferable.all() else [NOT_TRANSFERABLE])]
        return [Table(self.name, caption, tuple(head), tuple(lines), data, tuple(notes))]


_NOTE = (
    "Bold: the interval does not include 0. Differences draw by draw, averaged over data sets; n: "
    "distinct draws that both have, of the data set with the fewest."
)


def _entry(gap: Interval | None) -> Entry:
    if gap is None or gap.n == 0:
        return Entry(NONE)
    text = interval(gap.mean, gap.half, signed=True)
    return Entry(text, f"n = {gap.n}", strong=not gap.includes_zero)
