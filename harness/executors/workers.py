"""Ray actors, each with its backbone and data loaded: which are up, which wait for a place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError

from harness.errors import HarnessError, RunStopped
from harness.executors.base import ATTEMPTS, Notice, Settings
from harness.executors.cluster import gpu_share
from harness.plan.cell import Cell
from harness.run.cell import Outcome, run_cell
from harness.run.resources import Resources

TO_START = 10.0
"""Seconds that a worker may take to start where there is room for it; then it is said."""


class _Worker:
    """What lives in an actor: resources that stay warm between cells."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resources = Resources(settings.cache, settings.device, settings.threads)

    def up(self) -> None:
        """Returns once there is an actor to return it."""

    def run(self, cell: Cell, attempt: int) -> Outcome:
        parallel = None
        if self._settings.tune:
            from harness.executors.tune import tune_evaluator

            parallel = tune_evaluator(cell, self._settings)
        return run_cell(cell, self._resources, attempt, parallel)


@dataclass(frozen=True)
class Job:
    """A cell in the hands of a worker."""

    cell: Cell
    attempt: int
    actor: Any
    since: float


class Workers:
    """Up to `size` actors. Only those that are up are given cells; the others start when a node
    has a place for them.

    Raises:
        HarnessError: no node is large enough for one.
    """

    def __init__(self, settings: Settings, size: int) -> None:
        # Here threads are set by hand (workers × threads ≤ cores) and Ray need not count CPUs; in
        # a shared cluster it must.
        self._cpus = 0 if settings.address is None else settings.threads
        _check_room(settings, self._cpus)
        self._settings = replace(settings, cache=settings.cache.resolve())
        self._kind: Any = ray.remote(
            num_cpus=self._cpus, num_gpus=gpu_share(settings), max_restarts=0
        )(_Worker)
        self._size = size
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[Any, Job] = {}
        self._died_early = 0
        self._since, self._said = time.monotonic(), size
        self.fill()

    @property
    def busy(self) -> list[Job]:
        return list(self._busy.values())

    @property
    def idle(self) -> bool:
        """Whether a worker is up and has nothing to do."""
        return bool(self._idle)

    def fill(self) -> None:
        """Ask for as many workers as are wanted."""
        while len(self._starting) + len(self._idle) + len(self._busy) < self._size:
            actor = self._kind.remote(self._settings)
            self._starting[actor.up.remote()] = actor
            self._since = time.monotonic()

    def give(self, cell: Cell, attempt: int) -> None:
        """Let an idle worker run a cell."""
        actor = self._idle.pop()
        self._busy[actor.run.remote(cell, attempt)] = Job(cell, attempt, actor, time.monotonic())

    def wait(self, seconds: float) -> Iterator[tuple[Any, Job]]:
        """What has ended after at most so many seconds, as references to its outcome; meanwhile
        started workers become idle. A worker whose cell has ended is nobody's: `back` or `end`."""
        done, _ = ray.wait([*self._busy, *self._starting], num_returns=1, timeout=seconds)
        for reference in done:
            if reference in self._busy:
                yield reference, self._busy.pop(reference)
            else:
                self._is_up(reference)

    def back(self, job: Job) -> None:
        """Its worker is sound and may have another cell."""
        self._idle.append(job.actor)

    def end(self, job: Job) -> None:
        """Its process ends, whatever it does, and another takes its place."""
        self._busy = {reference: one for reference, one in self._busy.items() if one is not job}
        _kill(job.actor)
        self.fill()

    def only_one(self) -> None:
        """Leave a single fresh worker; all must be idle."""
        for actor in [*self._idle, *self._starting.values()]:
            _kill(actor)
        self._idle, self._starting, self._size, self._said = [], {}, 1, 1
        self.fill()

    def places(self) -> Notice | None:
        """How many workers have a place in a shared cluster, where that is news."""
        up = len(self._idle) + len(self._busy)
        if up == self._said or not self._cpus or (self._starting and not self._wait_for_room()):
            return None
        self._said = up
        text = f"{up} of {self._size} workers have a place"
        if self._starting:
            unit = f"{self._cpus} CPU{'s' * (self._cpus != 1)}"
            does = "these do the work" if up else "nothing runs meanwhile"
            text += f": the others start when a node has {unit} free; {does}"
        return Notice(text)

    def _wait_for_room(self) -> bool:
        waited = time.monotonic() - self._since
        if waited < TO_START:
            return False
        free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        return free.get("CPU", 0) < self._cpus or waited > 4 * TO_START

    def _is_up(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayError as error:
            self._died_early += 1
            if self._died_early >= ATTEMPTS:
                why = str(error).strip().splitlines()[-1]
                raise RunStopped(f"{ATTEMPTS} workers died as they started: {why}") from None
            self.fill()
        else:
            self._died_early = 0
            self._idle.append(actor)


def _check_room(settings: Settings, cpus: int) -> None:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    largest = max(int(n["Resources"].get("CPU", 0)) for n in nodes if n["Alive"])
    if cpus > largest:
        raise HarnessError(
            f"--threads {cpus}: a worker takes so many CPUs of one node, and the largest of the "
            f"cluster at {settings.address} has {largest}"
        )


def _kill(actor: Any) -> None:
    with suppress(RayError):  # it is dead already
        ray.kill(actor)
