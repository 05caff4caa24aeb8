"""Suite → ordered cells with content ids."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

from harness.canonical import content_id
from harness.errors import HarnessError
from harness.plan.cell import Cell, Waiting
from harness.plan.inventory import Group, Inventory, Missing, take_inventory
from harness.plan.samplers import samplers_of
from harness.plan.suite import SuiteFile
from harness.plan.variants import Variant, variants_of
from harness.protocols import FIXED
from harness.store.record import SCHEMA


@dataclass(frozen=True)
class Plan:
    """The cells of a suite, in the order they run: grouped by data set, so workers stay warm."""

    suite: SuiteFile
    cells: tuple[Cell, ...]
    waiting: tuple[Waiting, ...] = ()

    @property
    def every(self) -> tuple[Cell | Waiting, ...]:
        """Cells that can run here, then those that wait."""
        return (*self.cells, *self.waiting)

    def keep(self, wanted: Callable[[Cell | Waiting], bool]) -> Plan:
        """The plan of the wanted cells only."""
        cells, waiting = filter(wanted, self.cells), filter(wanted, self.waiting)
        return dataclasses.replace(self, cells=tuple(cells), waiting=tuple(waiting))

    @property
    def missing(self) -> dict[Missing, int]:
        """What is not on this machine, and how many cells wait for each."""
        return Counter(need for cell in self.waiting for need in cell.needs)

    @property
    def reasons(self) -> list[str]:
        """Two lines for everything missing: file, line and why; and what to do about it."""
        return [
            line
            for thing in self.missing
            for line in (str(self.suite.error(thing.where, thing.why)), f"    do: {thing.remedy}")
        ]

    def whole(self) -> Plan:
        """The plan itself, if no cell waits.

        Raises:
            HarnessError: everything that is missing, with its line and what to do.
        """
        if not self.waiting:
            return self
        count, every = len(self.waiting), len(self.every)
        start = f"{self.suite.path}: {count} of {every} cells wait for what is not here:"
        raise HarnessError("\n".join([start, *self.reasons]))


def make_plan(suite: SuiteFile) -> Plan:
    """Expand a suite into its cells.

    Raises:
        HarnessError: as `outline`; or something is not on this machine: all of it is named.
    """
    return outline(suite).whole()


def outline(suite: SuiteFile) -> Plan:
    """The cells of a suite as far as this machine has what they need; the others wait.

    Raises:
        HarnessError: unknown method, data set or backbone, or a bad configuration; with its line.
    """
    variants = variants_of(suite)
    samplers = samplers_of(suite)
    inventory = take_inventory(suite)
    cells: dict[str, Cell] = {}
    waiting: dict[tuple[Any, ...], Waiting] = {}
    for group in inventory.groups:
        needs = inventory.lacking(group)
        content = None if needs else _content(suite, inventory, group)
        for shots, seed, variant in product(suite.suite.shots, suite.suite.seeds, variants):
            path, sampler = samplers[shots, seed]
            axes = _axes(suite, variant, shots, seed, sampler)
            if content is None:
                found = _waiting(inventory, group, variant, axes)
                waiting.setdefault((group.name, variant.label, found.shots, found.seed), found)
            else:
                path = path if variant.uses_support else "none"
                cell = _cell(suite, inventory, group, variant, path, {**content, **axes})
                cells.setdefault(cell.id, cell)
    return Plan(suite, tuple(cells.values()), tuple(waiting.values()))


def _content(suite: SuiteFile, inventory: Inventory, group: Group) -> dict[str, Any]:
    """The part of an identity that the cells of a data set share."""
    assert group.data is not None
    return {
        "schema": SCHEMA,
        "backbone": {
            "name": inventory.backbone.name,
            "weights": inventory.weights,
            "precision": suite.suite.precision,
        },
        "dataset": {"name": group.name, "fingerprint": group.data.data.fingerprint},
        "templates": list(group.data.templates),
        "retention": [held_out.identity(group.data) for held_out in group.retention],
    }


def _cell(
    suite: SuiteFile,
    inventory: Inventory,
    group: Group,
    variant: Variant,
    sampler: str,
    identity: dict[str, Any],
) -> Cell:
    assert group.data is not None
    return Cell(
        label=variant.label,
        method=variant.reference,
        note=variant.note,
        config=variant.config,
        search=variant.search,
        backbone_spec=inventory.backbone,
        dataset_spec=group.data.spec,
        retention_specs=tuple(held_out.spec for held_out in group.retention),
        shots=identity["shots"],
        seed=identity["seed"],
        sampler=sampler,
        protocol=identity["protocol"],
        templates=group.data.templates,
        precision=suite.suite.precision,
        augment=suite.suite.augment,
        keep_logits=suite.suite.keep_logits,
        classes=len(group.data.data.class_names),
        scored=sum(len(found.data.items("test")) for found in (group.data, *group.retention)),
        identity=identity,
        id=content_id(identity),
    )


def _waiting(inventory: Inventory, group: Group, variant: Variant, axes: dict[str, Any]) -> Waiting:
    known = {"backbone": {"name": inventory.backbone.name}, "dataset": {"name": group.name}}
    return Waiting(
        label=variant.label,
        method=variant.reference,
        dataset=group.name,
        shots=axes["shots"],
        seed=axes["seed"],
        identity={**known, **axes},
        needs=inventory.lacking(group),
    )


def _axes(
    suite: SuiteFile, variant: Variant, shots: int, seed: int, sampler: str
) -> dict[str, Any]:
    """The part of an identity that varies within a data set.

    A method that ignores the support set has one cell per data set, under no draw.
    """
    given = suite.suite
    method: dict[str, Any] = {
        "name": variant.name,
        "config": variant.config,
        "source": variant.source,
    }
    if not variant.uses_support:
        none = {"sampler": "none", "augment": None, "protocol": FIXED.name}
        return {"shots": 0, "seed": 0, **none, "method": method}
    if given.access.searches:
        method["search"] = variant.search
    return {
        "shots": shots,
        "seed": seed,
        "sampler": sampler,
        "augment": given.augment.model_dump(mode="json"),
        "protocol": given.access.name,
        "method": method,
    }
