"""A cell opened on a worker: its method, backbone, draw, task, test set and held-out sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from harness import seeds
from harness.datasets import Dataset, Item
from harness.datasets.columns import columns_of
from harness.datasets.draws import Episode
from harness.datasets.spec import DatasetSpec
from harness.plan.cell import Cell
from harness.plan.variants import build_config
from harness.run.evaluation import Evaluation
from harness.run.frozen import Text
from harness.run.resources import Resources, check_same
from harness.run.support import Drawn, FeatureSupport, ImageSupport, TextlessTask
from harness.task import Classes, Method, Support, Task

if TYPE_CHECKING:
    from harness.backbones import Backbone

NO_DRAW = Episode((), (), "none", 0)
"""Of a method that ignores the support set."""


@dataclass(frozen=True)
class HeldOut:
    """A retention set, and where its classes stand among those adapted to (see `columns_of`)."""

    evaluation: Evaluation
    columns: tuple[int, ...] | None


class Prepared:
    """One cell, opened once from what its worker keeps warm; each part when first asked for.

    Raises:
        StaleWorker: (any part) it is not what the cell was planned with.
    """

    def __init__(self, cell: Cell, resources: Resources) -> None:
        self.cell, self._resources = cell, resources

    @cached_property
    def method(self) -> type[Method]:
        return self._resources.method(self.cell)

    @cached_property
    def config(self) -> Any:
        """The method's Config as the suite has it, before any search."""
        return build_config(self.method.Config, self.cell.config)

    @cached_property
    def backbone(self) -> Backbone:
        return self._resources.backbone(self.cell)

    @cached_property
    def draw(self) -> Episode:
        """The few-shot draw: support set and validation set."""
        cell = self.cell
        return NO_DRAW if cell.shots == 0 else self._resources.draw(cell, self._adapted)

    @cached_property
    def test(self) -> Evaluation:
        """The test split of the data set adapted to."""
        _ = self._data
        return self._resources.evaluation(self._adapted, self.cell.templates, self.backbone)

    @cached_property
    def held_out(self) -> dict[str, HeldOut]:
        """By name, the retention sets."""
        entries = self.cell.identity["retention"]
        found = {}
        for spec, entry in zip(self.cell.retention_specs, entries, strict=True):
            data = self._checked(spec, entry["fingerprint"])
            there = self._resources.evaluation(spec, tuple(entry["templates"]), self.backbone)
            found[spec.name] = HeldOut(there, columns_of(data, self._data))
        return found

    @property
    def feature_seconds(self) -> float:
        """Seconds the worker has spent so far on features that other cells find in the cache."""
        return self._resources.feature_seconds

    def task(self) -> Task:
        """What the method sees. Each call gives a fresh generator of the same seed."""
        cell, draw, text = self.cell, self.draw, self._text
        return (TextlessTask if text is None else Task)(
            classes=Classes(self._data.class_names, cell.templates),
            shots=cell.shots,
            support=self._support(draw.train, draw.id),
            val=self._support(draw.val, draw.val_id) if cell.access.sees_val else None,
            backbone=self.backbone,
            # Copies: a method may train what it is given.
            text_features=torch.empty(0, 0) if text is None else text.features.clone(),
            raw_text=None if text is None else text.raw.clone,
            generator=seeds.generator("train", cell.dataset, cell.shots, cell.seed, self._named),
            device=self.backbone.device,
        )

    @property
    def _adapted(self) -> DatasetSpec:
        return self.cell.dataset_spec

    @property
    def _named(self) -> str:
        name: str = self.cell.identity["method"]["name"]
        return name

    @cached_property
    def _data(self) -> Dataset:
        return self._checked(self._adapted, self.cell.identity["dataset"]["fingerprint"])

    @property
    def _text(self) -> Text | None:
        return self._resources.text(self._adapted, self.cell.templates, self.backbone)

    def _checked(self, spec: DatasetSpec, fingerprint: str) -> Dataset:
        data = self._resources.dataset(spec)
        check_same(f"the data set {spec.name}", data.fingerprint, fingerprint)
        return data

    def _support(self, items: tuple[Item, ...], draw_id: str) -> Support:
        data, backbone = self._data, self.backbone
        labels = torch.tensor([item.label for item in items], dtype=torch.long)
        if not data.has_pixels:
            features = torch.from_numpy(data.features(items)) if items else torch.empty(0, 0)
            return FeatureSupport(features, labels, backbone.device)
        return ImageSupport(
            self._resources.images(data, items, draw_id),
            labels,
            Drawn(data.fingerprint, tuple(item.impath for item in items), draw_id),
            backbone,
            self.cell.augment,
            self._resources.support_features,
        )
