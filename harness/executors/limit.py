"""Cells that take longer than their suite allows: `limit: {minutes_per_cell: …}`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.plan.cell import Cell
from harness.run.cell import Outcome
from harness.run.failure import failure_record


class OverTime(BaseException):
    """A cell's time is up. No exception of a method's, so that no handler of one catches it."""

    def __init__(self, seconds: float) -> None:
        minutes = f"{seconds / 60:g} minute{'s' * (seconds != 60)}"
        super().__init__(f"not done within {minutes}, the suite's limit: minutes_per_cell")


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Ends its block after so many seconds; for the main thread.

    The block ends between two steps of Python. Code that never returns to Python goes on: only the
    end of its process stops it, which is what the Ray executor does.

    Raises:
        OverTime: the time was up.
    """
    if seconds is None:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise OverTime(seconds)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def over_time(cell: Cell, attempt: int, error: OverTime) -> Outcome:
    """What becomes of a cell whose time is up: a failure of its own kind."""
    return Outcome(failure_record(cell, error, attempt, "time"))
