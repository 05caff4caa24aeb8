"""Suite → ordered cells with content ids."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from harness.datasets.dataset import Dataset
from harness.datasets.samplers import SamplerSpec
from harness.errors import HarnessError
from harness.plan.cell import Cell, Places, Waiting
from harness.plan.found import Group, Inventory, Missing
from harness.plan.inventory import take_inventory
from harness.plan.measures import measures_of
from harness.plan.samplers import samplers_of
from harness.plan.suite import SuiteFile
from harness.plan.variants import Variant, variants_of
from harness.protocols import FIXED, LabelAccess
from harness.store.identity import AugmentIdentity, Axes, Identity, MeasureIdentity, MethodIdentity


@dataclass(frozen=True)
class Plan:
    """The cells of a suite, in the order they run: grouped by data set, so workers stay warm."""

    suite: SuiteFile
    cells: tuple[Cell, ...]
    waiting: tuple[Waiting, ...] = ()
    data: tuple[Dataset, ...] = field(default=(), compare=False, repr=False)
    """The data sets that are here, each whole."""

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
    points, measures = _points(suite, variants_of(suite)), measures_of(suite)
    inventory = take_inventory(suite)
    cells: dict[str, Cell] = {}
    waiting: dict[tuple[Any, ...], Waiting] = {}
    for group in inventory.groups:
        needs = inventory.lacking(group)
        if needs:
            for point in points:
                found = _waiting(inventory, group, point, needs)
                waiting.setdefault((found.dataset, found.label, found.shots, found.seed), found)
        else:
            for cell in _cells(suite, inventory, group, points, measures):
                cells.setdefault(cell.id, cell)
    return Plan(suite, tuple(cells.values()), tuple(waiting.values()), inventory.data)


Measures = list[tuple[str, MeasureIdentity]]


@dataclass(frozen=True)
class Point:
    """A place of the grid that every data set has: a method under a draw."""

    variant: Variant
    axes: Axes
    sampler: SamplerSpec | None


def _points(suite: SuiteFile, variants: list[Variant]) -> list[Point]:
    """In the order in which cells run. A method that ignores the support set is under no draw."""
    given = suite.suite
    samplers = samplers_of(suite)
    augment = given.augment and AugmentIdentity(**given.augment.model_dump())
    methods = [(variant, _method(variant, given.access)) for variant in variants]
    found = []
    for shots, seed in product(given.shots, given.seeds):
        sampler, draw = samplers[shots, seed]
        drawn = {"draw": draw, "augment": augment}
        for variant, method in methods:
            if variant.uses_support:
                axes = Axes(method=method, protocol=given.access.name, **drawn)  # type: ignore[arg-type]
                found.append(Point(variant, axes, sampler))
            else:
                found.append(Point(variant, Axes(method=method, protocol=FIXED.name), None))
    return found


def _method(variant: Variant, access: LabelAccess) -> MethodIdentity:
    searched = variant.search if access.searches and variant.uses_support else None
    return MethodIdentity(variant.name, variant.config, variant.source, searched)


def _cells(
    suite: SuiteFile, inventory: Inventory, group: Group, points: list[Point], measures: Measures
) -> Iterator[Cell]:
    assert not isinstance(inventory.model, Missing)
    stages = tuple(stage.identity for stage in group.stages)
    places = tuple(
        Places(stage.adapt.spec, tuple(found.spec for found in stage.held_out))
        for stage in group.stages
    )
    own = AugmentIdentity(**group.stages[-1].adapt.data.augment.model_dump())
    scored = sum(len(f.data.items("test")) for stage in group.stages for f in stage.every)
    for point in points:
        axes = point.axes
        yield Cell(
            label=point.variant.label,
            method=point.variant.reference,
            note=point.variant.note,
            identity=Identity(
                method=axes.method,
                protocol=axes.protocol,
                draw=axes.draw,
                augment=(axes.augment or own) if axes.draw else None,
                backbone=inventory.model,
                stages=stages,
                measures=tuple(identity for _, identity in measures) or None,
            ),
            backbone_spec=inventory.backbone,
            places=places,
            sampler_spec=point.sampler,
            measures=tuple(reference for reference, _ in measures),
            keep_logits=suite.suite.keep_logits,
            classes=len(group.stages[-1].adapt.data.class_names),
            scored=scored,
        )


def _waiting(
    inventory: Inventory, group: Group, point: Point, needs: tuple[Missing, ...]
) -> Waiting:
    variant, name = point.variant, inventory.backbone.name
    return Waiting(variant.label, variant.reference, name, group.asked, point.axes, needs)
