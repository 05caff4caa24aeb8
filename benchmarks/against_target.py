"""One thing timed, printed beside its target."""

from __future__ import annotations

from typing import Any


def report(
    benchmark: Any, capsys: Any, name: str, seconds: float, target: float, note: str = ""
) -> None:
    """Print a figure with its target (seconds), and keep both in `extra_info`.

    A target is never asserted: a busy machine would fail it. Equal results are.
    """
    benchmark.extra_info.update(seconds=seconds, target=target)
    with capsys.disabled():
        print(f"\n{name}: {_time(seconds)}, target {_time(target)}{note and f' ({note})'}")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"
