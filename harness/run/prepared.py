"""A cell opened on a worker: method and backbone; per stage draw, task, test and held-out sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from harness import seeds
from harness.datasets import Dataset, Item
from harness.datasets.columns import columns_of
from harness.datasets.draws import Episode
from harness.datasets.reading import Reading
from harness.datasets.spec import DatasetSpec
from harness.features.augment import AugmentSpec
from harness.measure import Measure
from harness.plan.cell import Cell
from harness.plan.variants import build_config
from harness.run.evaluation import Evaluation
from harness.run.frozen import Text
from harness.run.resources import Resources, check_same
from harness.run.support import Drawn, FeatureSupport, ImageSupport, TextlessTask
from harness.store.identity import DataIdentity
from harness.task import Classes, Classifier, Method, Support, Task

if TYPE_CHECKING:
    from harness.backbones import Backbone

NO_DRAW = Episode((), (), "none", 0)
"""Of a method that ignores the support set."""


@dataclass(frozen=True)
class HeldOut:
    """A test set beside the one adapted to, and where its classes stand among those adapted to
    (see `columns_of`)."""

    evaluation: Evaluation
    columns: tuple[int, ...] | None


class Prepared:
    """One cell, opened once from what its worker keeps warm; each part when first asked for.

    Raises:
        StaleWorker: (any part) it is not what the cell was planned with.
    """

    def __init__(self, cell: Cell, resources: Resources) -> None:
        self.cell, self.resources = cell, resources
        self.stages = tuple(PreparedStage(self, number) for number in range(len(cell.places)))

    @cached_property
    def method(self) -> type[Method]:
        return self.resources.method(self.cell)

    @cached_property
    def config(self) -> Any:
        """The method's Config as the suite has it, before any search."""
        return build_config(self.method.Config, self.cell.config)

    @cached_property
    def backbone(self) -> Backbone:
        return self.resources.backbone(self.cell)

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """The suite's own, beside those that every record carries."""
        return self.resources.measures(self.cell)

    def readings(self) -> dict[str, Reading]:
        """What each of its data sets was read as, by name."""
        specs = [spec for place in self.cell.places for spec in (place.adapt, *place.held_out)]
        return {spec.name: self.resources.reading(spec) for spec in specs}

    @property
    def feature_seconds(self) -> float:
        """Seconds the worker has spent so far on features that other cells find in the cache."""
        return self.resources.feature_seconds


class PreparedStage:
    """A stage of a cell: its draw, task, test set and held-out sets."""

    def __init__(self, opened: Prepared, number: int) -> None:
        self.opened, self.cell, self._number = opened, opened.cell, number
        self._resources = opened.resources
        self._identity, self._places = self.cell.identity.stages[number], self.cell.places[number]

    @cached_property
    def draw(self) -> Episode:
        """The few-shot draw: support set and validation set."""
        _ = self._data
        if self.cell.shots == 0:
            return NO_DRAW
        return self._resources.draw(self.cell, self._places.adapt)

    @cached_property
    def test(self) -> Evaluation:
        """The test split of the data set adapted to."""
        return self._evaluation(self._places.adapt, self._identity.adapt)

    @cached_property
    def held_out(self) -> dict[str, HeldOut]:
        """By name, what else is tested on."""
        found = {}
        for spec, one in zip(self._places.held_out, self._identity.held_out, strict=True):
            there = self._evaluation(spec, one.data)
            columns = columns_of(self._resources.dataset(spec), self._data)
            found[one.data.name] = HeldOut(there, columns)
        return found

    def task(self, previous: Classifier | None = None) -> Task:
        """What the method sees. Each call gives a fresh generator of the same seed.

        Args:
            previous: the classifier of the stage before.
        """
        draw, backbone, text = self.draw, self.opened.backbone, self._text
        return (TextlessTask if text is None else Task)(
            classes=Classes(self._data.class_names, self._identity.adapt.templates),
            shots=self.cell.shots,
            support=self._support(draw.train, draw.id),
            val=self._support(draw.val, draw.val_id) if self.cell.access.sees_val else None,
            backbone=backbone,
            # Copies: a method may train what it is given.
            text_features=torch.empty(0, 0) if text is None else text.features.clone(),
            raw_text=None if text is None else text.raw.clone,
            generator=self._generator(),
            device=backbone.device,
            previous=previous,
        )

    @cached_property
    def _data(self) -> Dataset:
        return self._checked(self._places.adapt, self._identity.adapt)

    @property
    def _text(self) -> Text | None:
        templates = self._identity.adapt.templates
        return self._resources.text(self._places.adapt, templates, self.opened.backbone)

    def _generator(self) -> torch.Generator:
        cell = self.cell
        later = (self._number,) if self._number else ()  # a data set may come again
        axes = (self._identity.adapt.name, cell.shots, cell.seed, cell.identity.method.name)
        return seeds.generator("train", *axes, *later)

    def _evaluation(self, spec: DatasetSpec, planned: DataIdentity) -> Evaluation:
        self._checked(spec, planned)
        return self._resources.evaluation(spec, planned.templates, self.opened.backbone)

    def _checked(self, spec: DatasetSpec, planned: DataIdentity) -> Dataset:
        data = self._resources.dataset(spec)
        check_same(f"the data set {spec.name}", data.fingerprint, planned.fingerprint)
        return data

    def _support(self, items: tuple[Item, ...], draw_id: str) -> Support:
        data, backbone = self._data, self.opened.backbone
        labels = torch.tensor([item.label for item in items], dtype=torch.long)
        if not data.has_pixels:
            features = torch.from_numpy(data.features(items)) if items else torch.empty(0, 0)
            return FeatureSupport(features, labels, backbone.device)
        return ImageSupport(
            self._resources.images(data, items, draw_id),
            labels,
            Drawn(data.fingerprint, tuple(item.impath for item in items), draw_id),
            backbone,
            self._augment,
            self._resources.support_features,
        )

    @property
    def _augment(self) -> AugmentSpec:
        how = self.cell.identity.augment
        return AugmentSpec() if how is None else AugmentSpec(**how.plain)
