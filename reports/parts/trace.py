"""The trace of the searches: the accuracy of every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.reports.entries import named
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import NONE, Entry, Line, Table, number
from harness.reports.trials import trials, words

_IMAGES = {"val": "validation", "test": "test"}


class Trace(Part):
    """Per row and candidate, mean accuracy on the images it was chosen by, and how often chosen."""

    name, title = "trials", "Search"
    folded = True

    def tables(self, study: Study) -> Sequence[Table]:
        every, at = trials(study), study.standing
        if every.empty:
            return ()
        keys = ["row", "candidate", "shots"]
        groups = every.groupby(keys, sort=False)
        summary = groups.agg(
            top1=("top1", "mean"), cells=("top1", "size"), chosen=("chosen", "sum")
        )
        means: dict[Any, Any] = summary.to_dict("index")
        shots = [k for k in at.shots if k in set(every["shots"])]
        lines = []
        for row, candidate in dict.fromkeys(zip(every["row"], every["candidate"], strict=True)):
            entries = [Entry(words(candidate))]
            for k in shots:
                entries.append(_entry(means.get((row, candidate, k))))
            lines.append(Line(row, tuple(entries)))
        on = " and ".join(_IMAGES[where] for where in sorted(set(every["on"])))
        caption = f"Every candidate's accuracy on {on} images, %: mean over data sets and draws"
        head = ("Method", "candidate", *map(at.drawn.name, shots))
        note = "of: searches that tried it; some searches try one setting after the other."
        return [Table(self.name, caption, head, tuple(lines), named(every, at), (note,))]


def _entry(cell: Any) -> Entry:
    if cell is None:
        return Entry(NONE)
    return Entry(number(cell["top1"]), f"chosen {int(cell['chosen'])} of {int(cell['cells'])}")
