"""One cell after the other in this process. Never imports Ray."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from harness.executors.base import Event, Settings
from harness.executors.limit import OverTime, at_most, over_time
from harness.plan.cell import Cell
from harness.run.cell import Outcome, run_cell
from harness.run.device_loss import DeviceLost
from harness.run.resources import Resources


class SerialExecutor:
    """Runs cells in order; a cell that ran out of memory is tried once more, at the end, alone.

    Raises:
        DeviceLost: a cell left this process without its GPU. Its failure is handed out before.
    """

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event]:
        self._settings = settings
        self._afresh()
        again: list[Cell] = []
        for cell in cells:
            yield Event("started", cell)
            outcome = self._run(cell)
            failure = outcome.record.failure
            if failure is not None and failure.kind == "memory":
                again.append(cell)
                yield Event("retried", cell, message=failure.message)
                continue
            yield Event("finished", cell, outcome)
            _stop_if_lost(cell, outcome)
        for cell in again:
            self._afresh()
            yield Event("started", cell)
            outcome = self._run(cell, attempt=2)
            yield Event("finished", cell, outcome)
            _stop_if_lost(cell, outcome)

    def _run(self, cell: Cell, attempt: int = 1) -> Outcome:
        try:
            with at_most(self._settings.limit_seconds):
                return run_cell(cell, self._resources, attempt)
        except OverTime as error:
            self._afresh()  # it was stopped anywhere
            return over_time(cell, attempt, error)

    def _afresh(self) -> None:
        given = self._settings
        self._resources = Resources(given.cache, given.device, given.threads)
        gc.collect()


def _stop_if_lost(cell: Cell, outcome: Outcome) -> None:
    if outcome.device_lost:
        failure = outcome.record.failure
        assert failure is not None
        raise DeviceLost(
            f"{cell}: {failure.message.splitlines()[0]}. This process cannot use its GPU any more "
            "and every later cell would fail; what was finished is kept. Run the same command "
            "again to go on, or use --executor ray, which replaces a worker after such a fault"
        )
