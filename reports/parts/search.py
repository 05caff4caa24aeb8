"""The search: which values were tried, and which of them were chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.reports.entries import named
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table
from harness.reports.trials import candidates, plain


class Search(Part):
    """Per row and setting: the grid, and how often each value was chosen."""

    name, title = "search", "Search"
    words = True

    def tables(self, study: Study) -> Sequence[Table]:
        data = candidates(study)
        if data.empty:
            return ()
        lines = []
        for (row, setting), values in data.groupby(["row", "setting"], sort=False):
            texts = [plain(json.loads(value)) for value in values["value"]]
            often = [f"{text} ({n}×)" for text, n in zip(texts, values["chosen"], strict=True) if n]
            of = str(int(values["cells"].max()))
            tried = ", ".join(texts)
            if len(texts) > _SHOWN:
                tried = f"{len(texts)} values from {texts[0]} to {texts[-1]}"
            entries = (str(setting), tried, ", ".join(often), of)
            lines.append(Line(str(row), tuple(map(Entry, entries))))
        head = ("Method", "setting", "values tried", "chosen", "searches")
        caption = "Hyper-parameters: the grid of each search, and what was chosen"
        data = named(data, study.standing)
        return [Table(self.name, caption, head, tuple(lines), data, (_NOTE,))]


_SHOWN = 12
"""Values of one setting that are listed before only their span is said."""
_NOTE = (
    "Each cell searches for itself, on the images that its protocol grants and never on test "
    "images (but under oracle). What a cell chose: chosen.csv; every candidate with its accuracy: "
    "trials.csv."
)
