"""One cell after the other in this process. Never imports Ray."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from harness.cell import run_cell
from harness.executors import Event, Settings
from harness.plan import Cell
from harness.resources import Resources


class SerialExecutor:
    """Runs cells in order; a cell that ran out of memory is tried once more, at the end, alone."""

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event]:
        resources = Resources(settings.cache, settings.device, settings.threads)
        again: list[Cell] = []
        for cell in cells:
            yield Event("started", cell)
            outcome = run_cell(cell, resources)
            failure = outcome.record.failure
            if failure is not None and failure.kind == "memory":
                again.append(cell)
                yield Event("retried", cell, message=failure.message)
                continue
            yield Event("finished", cell, outcome)
        for cell in again:
            resources = Resources(settings.cache, settings.device, settings.threads)
            gc.collect()
            yield Event("started", cell)
            yield Event("finished", cell, run_cell(cell, resources, attempt=2))
