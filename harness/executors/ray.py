"""Cells on a pool of long-lived Ray actors.

A warm call costs about a millisecond. A worker that dies, or loses its GPU to a CUDA fault, is
replaced and its cell is tried again; a cell that ran out of memory is tried once more when nothing
else runs; a cell whose time is up fails, and its worker is replaced.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import OutOfDiskError, OutOfMemoryError, RayError, RayTaskError

from harness.executors.base import ATTEMPTS, Event, Notice, Settings
from harness.executors.cluster import Head, cluster, first_line
from harness.executors.limit import OverTime, over_time
from harness.executors.workers import Job, Workers
from harness.plan.cell import Cell
from harness.run.cell import Outcome
from harness.run.failure import failure_record
from harness.store.record import Kind

TICK = 1.0
"""Seconds between two looks at the clock and at the cluster."""


class RayExecutor:
    """Runs cells on `settings.workers` actors of a local cluster, or of the one at `address`."""

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event | Notice]:
        with cluster(settings) as head:
            yield from _Pool(cells, settings, head).run()


class _Pool:
    def __init__(self, cells: Sequence[Cell], settings: Settings, head: Head) -> None:
        # Trials of Ray Tune run side by side within a cell, so that one cell at a time suffices.
        size = 1 if settings.tune else min(settings.workers, len(cells))
        self._workers = Workers(settings, size)
        self._head, self._limit = head, settings.limit_seconds
        self._queue = deque((cell, 1) for cell in cells)
        self._starved: deque[tuple[Cell, int]] = deque()
        self._alone: set[str] = set()

    def run(self) -> Iterator[Event | Notice]:
        ended: list[Event] = []
        while self._queue or self._workers.busy or self._starved:
            if not self._queue and not self._workers.busy:
                yield from ended
                ended = []
                self._workers.only_one()  # what starved beside others gets a fresh worker to itself
                self._queue.append(self._starved.popleft())
            started = list(self._hand_out())
            yield from ended  # written down while the workers have their next cells
            yield from started
            ended = [self._after(*one) for one in self._workers.wait(TICK)]
            ended += [self._too_late(job) for job in self._workers.busy if self._over(job)]
            self._head.check()
            if (notice := self._workers.places()) is not None:
                yield notice
        yield from ended

    def _hand_out(self) -> Iterator[Event]:
        while self._queue and self._workers.idle:
            cell, attempt = self._queue.popleft()
            self._workers.give(cell, attempt)
            yield Event("started", cell)

    def _over(self, job: Job) -> bool:
        return self._limit is not None and time.monotonic() - job.since > self._limit

    def _too_late(self, job: Job) -> Event:
        assert self._limit is not None
        self._workers.end(job)
        return Event("finished", job.cell, over_time(job.cell, job.attempt, OverTime(self._limit)))

    def _after(self, reference: Any, job: Job) -> Event:
        """What became of a cell whose worker has ended with it, or has ended."""
        try:
            outcome: Outcome = ray.get(reference)
        except RayTaskError as error:  # raised by the worker itself, such as a full disk
            raise error.cause from None
        except OutOfDiskError as error:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "Ray's folder") from error
        except RayError as error:
            self._workers.end(job)
            return self._died(job, error)
        if outcome.device_lost:  # no other cell can run in its process
            self._workers.end(job)
            return self._lost_gpu(job, outcome)
        self._workers.back(job)
        return self._ended(job, outcome)

    def _died(self, job: Job, error: RayError) -> Event:
        memory = isinstance(error, OutOfMemoryError)
        if not memory and job.attempt < ATTEMPTS:
            return self._again(job, f"its worker died ({first_line(error)})")
        kind: Kind = "memory" if memory else "infrastructure"
        return self._ended(job, Outcome(failure_record(job.cell, error, job.attempt, kind)))

    def _lost_gpu(self, job: Job, outcome: Outcome) -> Event:
        failure = outcome.record.failure
        if job.attempt < ATTEMPTS and failure is not None:
            return self._again(job, f"its worker lost the GPU ({failure.message.splitlines()[0]})")
        return self._ended(job, outcome)

    def _again(self, job: Job, why: str) -> Event:
        self._queue.appendleft((job.cell, job.attempt + 1))
        return Event("retried", job.cell, message=why)

    def _ended(self, job: Job, outcome: Outcome) -> Event:
        failure, cell = outcome.record.failure, job.cell
        if failure is None or failure.kind != "memory" or cell.id in self._alone:
            return Event("finished", cell, outcome)
        self._alone.add(cell.id)
        self._starved.append((cell, job.attempt + 1))
        return Event("retried", cell, message=failure.message)
