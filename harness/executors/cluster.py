"""The Ray cluster that a run uses: a local one on loopback, or the one that is asked for.

Ray waits for minutes where nothing answers, in its own words and deaf to signals. So a cluster is
first joined by a process of its own, which can be given up, and its head is watched during a run.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker

from harness.errors import HarnessError, RunStopped
from harness.executors.base import Settings

PATIENCE = 30.0
"""Seconds within which a cluster must let a process join."""
HEAD_PATIENCE = 12.0
"""Seconds for which the head of a cluster may be away."""
QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
JOIN = "import sys, ray; ray.init(address=sys.argv[1], logging_level=50, log_to_driver=False)"


class Head:
    """The process that keeps a cluster together, watched from here."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        self._asked = self._heard = time.monotonic()

    def check(self) -> None:
        """Look for it, at most once in two seconds.

        Raises:
            RunStopped: it has not answered for `HEAD_PATIENCE` seconds.
        """
        now = time.monotonic()
        if now - self._asked < 2.0:
            return
        self._asked = now
        if _refusal(self.address) is None:
            self._heard = now
        elif now - self._heard > HEAD_PATIENCE:
            raise RunStopped(
                f"the head of the Ray cluster at {self.address} does not answer any more; what was "
                "finished is kept: start the cluster anew and run the same command to go on"
            )


@contextmanager
def cluster(settings: Settings) -> Iterator[Head]:
    """Joins or starts the cluster, and leaves it; a local one ends, with all its workers.

    Raises:
        HarnessError: there is no cluster at the address, or it does not let us in.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a choice made on purpose
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with _own_signals():
        if settings.address is None:
            _start(settings)
        else:
            _join(settings.address)
    # A dying node prints its state, in thirty lines. That a worker is lost is told here anyway.
    ray_worker.print_to_stdstream = _nothing
    try:
        yield Head()
    finally:
        ray.shutdown()


def gpu_share(settings: Settings) -> float:
    """A share of a GPU such that all workers fit; none where the device names one itself."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    count = int(resources.get("GPU", 0))
    if settings.device not in ("auto", "cuda") or not count:
        return 0.0
    per_gpu = math.ceil(settings.workers / count)
    return math.floor(1e4 / per_gpu) / 1e4  # Ray counts in steps of 1e-4


def first_line(error: BaseException) -> str:
    """What an error of Ray's says, without what it prints below."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _start(settings: Settings) -> None:
    packages = str(Path(__file__).resolve().parents[2])
    paths = [packages, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}}
    clusters, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:  # without clusters Ray listens on loopback only
        ray.init(
            address="local",  # never one that happens to run on this machine
            num_cpus=max(settings.workers, 1),
            include_dashboard=False,
            runtime_env=environment,
            **QUIET,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise HarnessError(f"Ray did not start: {first_line(error)}") from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters


def _join(address: str) -> None:
    if ":" in address and (why := _refusal(address.removeprefix("ray://"))) is not None:
        port = address.rpartition(":")[2]
        raise HarnessError(
            f"--address {address}: nothing listens there ({why}); start a cluster with "
            f"`ray start --head --port={port}`, or leave --address out for a local one"
        )
    _try_to_join(address)
    try:
        ray.init(address=address, **QUIET)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise HarnessError(f"--address {address}: {first_line(error)}") from error


def _try_to_join(address: str) -> None:
    try:
        tried = subprocess.run(
            [sys.executable, "-c", JOIN, address],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        why = f"no Ray cluster answered within {PATIENCE:.0f} s"
    else:
        if tried.returncode == 0:
            return
        said = tried.stderr
        why = (said.strip().splitlines() or [f"status {tried.returncode}"])[-1]
    if "AuthToken" in said or "Unauthenticated" in said:
        why = (
            "the cluster asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the "
            "file that its head was started with"
        )
    raise HarnessError(f"--address {address}: {why} (docs/clusters.md)")


def _nothing(*_: Any, **__: Any) -> None:
    """In place of Ray's printing."""


def _refusal(address: str) -> str | None:
    """Why nobody can be spoken to at HOST:PORT; None where somebody listens."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return None
    except (OSError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it connects; it is taken back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread, where Ray takes none either
            for number, handler in before.items():
                signal.signal(number, handler)
