"""From an executor's name to the executor."""

from __future__ import annotations

from harness.errors import HarnessError, did_you_mean
from harness.executors.base import Executor


def make_executor(name: str) -> Executor:
    """The executor of that name. Only `ray` imports Ray.

    Raises:
        HarnessError: unknown name, or Ray is not installed.
    """
    if name == "serial":
        from harness.executors.serial import SerialExecutor

        return SerialExecutor()
    if name == "ray":
        try:
            from harness.executors.ray import RayExecutor
        except ImportError as error:
            raise HarnessError(
                f"--executor ray: {error}; install ray, or use --executor serial"
            ) from None
        return RayExecutor()
    raise HarnessError(f'unknown executor "{name}"{did_you_mean(name, ("ray", "serial"))}')
