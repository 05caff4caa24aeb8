"""Executors: how cells are run. They know nothing of learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.plan.cell import Cell
from harness.run.cell import Outcome

ATTEMPTS = 3
"""How often a cell is tried when its worker dies; each further try is announced."""


@dataclass(frozen=True)
class Settings:
    """How to run, never what: nothing here may change a number on the same kind of device."""

    cache: Path
    workers: int = 1
    threads: int = 1
    device: str = "auto"
    address: str | None = None
    tune: bool = False
    """Evaluate the candidates of a search side by side, by Ray Tune."""
    limit_seconds: float | None = None
    """A cell that takes longer fails."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell."""

    kind: Literal["started", "finished", "retried"]
    cell: Cell
    outcome: Outcome | None = None
    message: str = ""


@dataclass(frozen=True)
class Notice:
    """Something to be told that concerns no single cell."""

    message: str


class Executor(Protocol):
    """Runs cells and tells what happens, in any order. Closing the iterator stops the work."""

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event | Notice]: ...
