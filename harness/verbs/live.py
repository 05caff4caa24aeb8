"""The live display of a run: cells done, running and failed, and the time left."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.executors.base import Event
from harness.plan.cell import Cell
from harness.plan.estimate import Estimator


class Live:
    """`with Live(…) as live:` shows progress; `live.event` and `live.notice` feed it.

    Where the console is no terminal, one plain line is printed about every ten seconds instead.
    """

    def __init__(
        self, console: Console, cells: tuple[Cell, ...], estimator: Estimator, workers: int
    ) -> None:
        self._console = console
        self._estimator = estimator
        self._workers = workers
        self._left = {cell.id: cell for cell in cells}
        self._total = len(cells)
        self._running: dict[str, Cell] = {}
        self._failed = 0
        self._estimated, self._said = 0.0, ""
        self._start = self._printed = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=self._total, left="")

    def __enter__(self) -> Live:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    @property
    def seconds(self) -> float:
        """Since the display was made."""
        return time.monotonic() - self._start

    def notice(self, message: str) -> None:
        """A line that stays on the screen."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def event(self, event: Event) -> None:
        """Take note of a cell that was started, retried or finished."""
        cell = event.cell
        if event.kind == "started":
            self._running[cell.id] = cell
        else:
            self._running.pop(cell.id, None)
        if event.kind == "retried":
            self.notice(f"{cell}: {event.message}; trying again")
        if event.outcome is not None:
            record = event.outcome.record
            self._left.pop(cell.id, None)
            self._estimator.add(record)
            if record.failure is not None and record.status == "failed":
                self._failed += 1
                self.notice(f"failed: {cell}: {record.failure.kind}: {record.failure.message}")
        one_short = event.kind == "finished" and len(self._left) > len(self._running)
        self._show(one_short)

    def _show(self, one_short: bool) -> None:
        """`one_short`: a worker has finished a cell and its next one is yet to be announced."""
        done = self._total - len(self._left)
        now = ", ".join(str(cell) for cell in self._running.values())
        text = f"{len(self._running)} running, {self._failed} failed"
        left = self._time_left()
        self._progress.update(
            self._task,
            completed=done,
            description=f"{text}  [dim]{escape(_short(now))}[/dim]",
            left=left,
        )
        if not (self._console.is_terminal or one_short) and time.monotonic() - self._printed > 10:
            self._printed = time.monotonic()
            self.notice(f"{done}/{self._total} cells done, {text}, {left}".rstrip(", "))

    def _time_left(self) -> str:
        """Worked out at most twice a second: it looks at every cell that is left."""
        if time.monotonic() - self._estimated < 0.5 and self._left:
            return self._said
        self._estimated = time.monotonic()
        self._said = self._estimate()
        return self._said

    def _estimate(self) -> str:
        seconds = self._estimator.total(self._left.values(), self._workers)
        if seconds is None:
            return ""
        return f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
