"""What every cell's search chose."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.entries import named
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table, number
from harness.reports.trials import trials, words


class Chosen(Part):
    """One line per row, data set and number of shots: the chosen values, draw by draw."""

    name, title = "chosen", "Search"
    folded = True
    words = True

    def tables(self, study: Study) -> Sequence[Table]:
        every = trials(study)
        if every.empty:
            return ()
        best = every[every["chosen"]].drop_duplicates("cell_id")
        lines = []
        for key, cells in best.groupby(["row", "dataset", "shots"], sort=False):
            values = [
                f"seed {seed}: {words(candidate)} ({number(top1)} %)"
                for seed, candidate, top1 in zip(
                    cells["seed"], cells["candidate"], cells["top1"], strict=True
                )
            ]
            row, *where = map(str, key) if isinstance(key, tuple) else (str(key),)
            lines.append(Line(row, tuple(map(Entry, (*where, "; ".join(values))))))
        head = ("Method", "data set", "shots", "chosen, with its accuracy in the search")
        data = named(best.drop(columns="chosen"), study.standing)
        return [Table(self.name, "Chosen values, cell by cell", head, tuple(lines), data)]
