"""How long cells will take, learnt from cells that were run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

from harness.plan import Cell
from harness.record import Record


class Estimator:
    """Seconds per cell: the median of the most alike finished cells.

    Alike means: same backbone, method, configuration, data set and shots; where there are none,
    the data set is left out, then the shots, then the configuration. A method that never ran is
    counted as the median of everything. None until anything has run.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._seconds: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from a finished cell."""
        if record.cost is None:
            return
        cost = record.cost
        seconds = cost.fit_seconds + cost.score_seconds + cost.search_seconds
        for key in _keys(record.cell):
            self._seconds[key].append(seconds)

    def cell(self, cell: Cell) -> float | None:
        """Expected seconds of one cell."""
        for key in _keys(cell.identity):
            if key in self._seconds:
                return median(self._seconds[key])
        return None

    def total(self, cells: Iterable[Cell], workers: int = 1) -> float | None:
        """Expected seconds of all of them, spread over workers; None where nothing is known."""
        each = [self.cell(cell) for cell in cells]
        if any(seconds is None for seconds in each):
            return None
        return sum(seconds for seconds in each if seconds is not None) / max(1, workers)


def _keys(identity: Any) -> list[tuple[Any, ...]]:
    """From the most to the least particular description of a cell."""
    backbone, method = identity["backbone"]["name"], identity["method"]
    config = repr(sorted(method["config"].items()))
    data, shots = identity["dataset"]["name"], identity["shots"]
    name, protocol = method["name"], identity["protocol"]
    return [
        (backbone, name, protocol, config, data, shots),
        (backbone, name, protocol, config, shots),
        (backbone, name, protocol, config),
        (backbone, name),
        (),
    ]
