"""A pool of long-lived Ray actors, each with its backbone and data loaded.

A warm call costs about a millisecond. Local clusters listen on loopback only and have no
dashboard. A worker that dies, or loses its GPU to a CUDA fault, is replaced and its cell is tried
again; a cell that ran out of memory is tried once more when nothing else runs.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from harness.errors import HarnessError
from harness.executors.base import ATTEMPTS, Event, Settings
from harness.plan.cell import Cell
from harness.run.cell import Kind, Outcome, failure_record, run_cell
from harness.run.resources import Resources


class _Worker:
    """What lives in an actor: resources that stay warm between cells."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resources = Resources(settings.cache, settings.device, settings.threads)

    def run(self, cell: Cell, attempt: int) -> Outcome:
        parallel = None
        if self._settings.tune:
            from harness.executors.tune import tune_evaluator

            parallel = tune_evaluator(cell, self._settings)
        return run_cell(cell, self._resources, attempt, parallel)


class RayExecutor:
    """Runs cells on `settings.workers` actors of a local cluster, or of the one at `address`."""

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event]:
        _connect(settings)
        try:
            yield from _Pool(settings).run(cells)
        finally:
            ray.shutdown()  # also ends the actors, and what they were doing


class _Pool:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Trials of Ray Tune run side by side within a cell, so that one cell at a time suffices.
        self._size = 1 if settings.tune else settings.workers
        # Here threads are set by hand (workers × threads ≤ cores) and Ray need not count CPUs; in
        # a shared cluster it must.
        cpus = 0 if settings.address is None else settings.threads
        gpus = _gpus_per_worker(settings)
        self._actor: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0)(_Worker)
        self._starved: set[str] = set()
        self._busy: dict[Any, tuple[Any, Cell, int]] = {}
        self._idle: list[Any] = []

    def run(self, cells: Sequence[Cell]) -> Iterator[Event]:
        queue = deque((cell, 1) for cell in cells)
        alone: deque[tuple[Cell, int]] = deque()
        ended: list[Event] = []
        self._idle = [self._new() for _ in range(min(self._size, len(queue)))]
        while queue or self._busy or alone:
            if not queue and not self._busy:
                yield from ended
                ended = []
                self._only_one()  # what starved beside others gets a fresh worker to itself
                queue.append(alone.popleft())
            started: list[Event] = []
            while queue and self._idle:
                cell, attempt = queue.popleft()
                actor = self._idle.pop()
                self._busy[actor.run.remote(cell, attempt)] = (actor, cell, attempt)
                started.append(Event("started", cell))
            yield from ended  # written down while the workers have their next cells
            yield from started
            ended = []
            (reference,), _ = ray.wait(list(self._busy), num_returns=1)
            actor, cell, attempt = self._busy.pop(reference)
            outcome, message = self._outcome(reference, actor, cell, attempt)
            if outcome is None:
                queue.appendleft((cell, attempt + 1))
                ended.append(Event("retried", cell, message=message))
                continue
            failure = outcome.record.failure
            starved = failure is not None and failure.kind == "memory"
            if failure is not None and starved and cell.id not in self._starved:
                self._starved.add(cell.id)
                alone.append((cell, attempt + 1))
                ended.append(Event("retried", cell, message=failure.message))
            else:
                ended.append(Event("finished", cell, outcome))
        yield from ended

    def _outcome(
        self, reference: Any, actor: Any, cell: Cell, attempt: int
    ) -> tuple[Outcome | None, str]:
        """What came of a cell; (None, why) where it is to be tried again."""
        try:
            outcome: Outcome = ray.get(reference)
        except RayTaskError as error:  # raised by the worker itself, such as a full disk
            raise error.cause from None
        except RayError as error:  # the worker died, or was killed for its memory
            self._idle.append(self._new())
            memory = isinstance(error, OutOfMemoryError)
            if not memory and attempt < ATTEMPTS:
                return None, f"its worker died ({_first_line(error)})"
            kind: Kind = "memory" if memory else "infrastructure"
            return Outcome(failure_record(cell, error, attempt, kind)), ""
        if not outcome.device_lost:
            self._idle.append(actor)
            return outcome, ""
        ray.kill(actor)  # no other cell can run in its process
        self._idle.append(self._new())
        failure = outcome.record.failure
        if attempt < ATTEMPTS and failure is not None:
            return None, f"its worker lost the GPU ({failure.message.splitlines()[0]})"
        return outcome, ""

    def _only_one(self) -> None:
        for actor in self._idle:
            ray.kill(actor)
        self._idle = [self._new()]

    def _new(self) -> Any:
        return self._actor.remote(replace(self._settings, cache=self._settings.cache.resolve()))


def _connect(settings: Settings) -> None:
    # Ray warns about choices that are made here on purpose; its own logs stay in its folder.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    packages = str(Path(__file__).resolve().parents[2])
    paths = [packages, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}}
    common: dict[str, Any] = {
        "runtime_env": environment if settings.address is None else None,
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if settings.address is not None:
            ray.init(address=settings.address, **common)
        else:
            ray.init(
                address="local",  # never one that happens to run on this machine
                num_cpus=max(settings.workers, 1),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **common,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = settings.address or "a local cluster"
        raise HarnessError(f"Ray could not be reached at {where}: {_first_line(error)}") from error
    finally:
        for number, handler in handlers.items():  # Ray takes SIGTERM for itself
            signal.signal(number, handler)


def _gpus_per_worker(settings: Settings) -> float:
    """A share of a GPU such that all workers fit; none where the device names one itself."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    count = int(resources.get("GPU", 0))
    if settings.device not in ("auto", "cuda") or not count:
        return 0.0
    per_gpu = math.ceil(settings.workers / count)
    return math.floor(1e4 / per_gpu) / 1e4  # Ray counts in steps of 1e-4


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
