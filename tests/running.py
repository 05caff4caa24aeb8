"""Runs a plan in a test and keeps what came of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from small_suite import SMALL

from harness.executors.base import Event, Settings
from harness.executors.make import make_executor
from harness.executors.runner import Result, run_plan
from harness.plan.expand import Plan
from harness.store.record import Record
from harness.store.store import Store

PLUGINS = Path(__file__).with_name("plugins.py")
ONE_SET = SMALL.replace("[digits, georgian]", "[digits]").replace("shots: [1, 2]", "shots: [1]")


class Run:
    """Runs a plan and remembers what was said."""

    def __init__(
        self,
        plan: Plan,
        root: Path,
        executor: str = "serial",
        workers: int = 1,
        tune: bool = False,
        **more: Any,
    ) -> None:
        self.store = Store(root)
        self.events: list[Event] = []
        self.notices: list[str] = []
        self.result: Result = run_plan(
            plan,
            self.store,
            make_executor(executor),
            Settings(self.store.cache, workers, device="cpu", tune=tune, **more),
            self.events.append,
            self.notices.append,
        )
        self.contents = self.store.load(cell.id for cell in plan.cells)

    def retried(self) -> list[str]:
        return [event.message for event in self.events if event.kind == "retried"]


def with_plugin(name: str, config: str = "{}", text: str = SMALL) -> str:
    return text + f"  - {{name: '{PLUGINS}:{name}', config: {config}}}\n"


def numbers(records: dict[str, Record]) -> dict[str, Any]:
    """Records without what may differ between two runs: times, memory, provenance."""
    cost = {"cost": None, "provenance": {}}
    trainable = {i: r.cost.trainable for i, r in records.items() if r.cost}
    return {"trainable": trainable} | {
        cell_id: dataclasses.replace(record, **cost) for cell_id, record in records.items()
    }
