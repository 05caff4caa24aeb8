"""One cell after the other in this process. Never imports Ray."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from harness.cell import run_cell, run_together
from harness.executors import Event, Settings, jobs
from harness.plan import Cell
from harness.resources import Resources


class SerialExecutor:
    """Runs cells in order; a cell that ran out of memory is tried once more, at the end, alone."""

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event]:
        resources = Resources(settings.cache, settings.device, settings.threads)
        again: list[Cell] = []
        for job in jobs(cells, settings):
            for cell in job:
                yield Event("started", cell)
            for cell, outcome in zip(job, run_together(job, resources), strict=True):
                failure = outcome.record.failure
                if failure is not None and failure.kind == "memory":
                    again.append(cell)
                    yield Event("retried", cell, message=failure.message)
                else:
                    yield Event("finished", cell, outcome)
        for cell in again:
            resources = Resources(settings.cache, settings.device, settings.threads)
            gc.collect()
            yield Event("started", cell)
            yield Event("finished", cell, run_cell(cell, resources, attempt=2))
