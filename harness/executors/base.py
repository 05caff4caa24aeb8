"""Executors: how cells are run. They know nothing of learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.plan.cell import Cell
from harness.run.cell import Outcome
from harness.run.packing import packs

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
    pack: bool = False
    """Train cells that share data set and shots as replicas, where their method can
    (`harness.run.packing`): the same numbers but for float rounding."""
    tune: bool = False
    """Evaluate the candidates of a search side by side, by Ray Tune."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell."""

    kind: Literal["started", "finished", "retried"]
    cell: Cell
    outcome: Outcome | None = None
    message: str = ""


def jobs(cells: Sequence[Cell], settings: Settings) -> list[tuple[Cell, ...]]:
    """What is run at a time: single cells, or packs of them."""
    return packs(cells) if settings.pack else [(cell,) for cell in cells]


def why_alone(outcomes: Sequence[Outcome]) -> str | None:
    """Why the cells of a pack are to run one by one, or None: one bad cell fails a whole pack."""
    first = outcomes[0]
    if not first.pack_failed or first.device_lost or first.record.failure is None:
        return None
    return f"its pack of {len(outcomes)} failed ({first.record.failure.message.splitlines()[0]})"


class Executor(Protocol):
    """Runs cells and tells what happens, in any order. Closing the iterator stops the work."""

    def run(self, cells: Sequence[Cell], settings: Settings) -> Iterator[Event]: ...
