"""What a worker keeps warm between cells: methods, backbones, data sets, draws, features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.backbones.features_only import FeaturesOnly
from harness.backbones.preprocessing import preprocessing_by
from harness.canonical import digest
from harness.datasets import Dataset, Item, load_dataset
from harness.datasets.draws import Episode, draw
from harness.datasets.reading import Reading, read_as
from harness.datasets.spec import DatasetSpec
from harness.features.cache import FeatureCache
from harness.measure import Measure
from harness.plan.cell import Cell
from harness.plan.measures import MEASURES, find_measure
from harness.plan.methods import find_method, method_source
from harness.plan.samplers import build_sampler, sampler_source
from harness.run.evaluation import Evaluation
from harness.run.frozen import Text, text_of
from harness.source import source_hash
from harness.store.identity import Preprocessing
from harness.task import Classes, Method

if TYPE_CHECKING:
    from harness.backbones import Backbone

KEPT_DRAWS = 2
"""Draws, and their images, that stay in memory: cells of one draw stand together in a plan."""


class Resources:
    """Lazily loaded, kept for the life of a worker.

    Args:
        cache: folder of the feature cache.
        device: "auto", "cpu", "cuda", "cuda:1" …
        threads: threads of the CPU kernels. Records are equal bit for bit only under equal counts.
    """

    def __init__(self, cache: Path, device: str = "auto", threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.device = device
        self._test_features = FeatureCache(cache)
        self.support_features = FeatureCache(cache)  # apart: it is reachable from a task
        self._measures: dict[str, tuple[Measure, str]] = {}
        self._methods: dict[str, tuple[type[Method], str]] = {}
        self._backbones: dict[str, Backbone] = {}
        self._images: dict[tuple[str, str], list[np.ndarray]] = {}
        self._datasets: dict[DatasetSpec, Dataset] = {}
        self._readings: dict[DatasetSpec, Reading] = {}
        self._draws: dict[tuple[object, ...], Episode] = {}
        self._evaluations: dict[tuple[str, DatasetSpec, tuple[str, ...]], Evaluation] = {}
        self._texts: dict[tuple[str, DatasetSpec, tuple[str, ...]], Text | None] = {}

    @property
    def feature_seconds(self) -> float:
        """Seconds this worker has spent on features that later cells find in the cache."""
        return self._test_features.seconds + self.support_features.seconds

    def method(self, cell: Cell) -> type[Method]:
        """The cell's method.

        Raises:
            StaleWorker: its source is not what the cell was planned with.
        """
        if cell.method not in self._methods:
            source = method_source(cell.method)
            self._methods[cell.method] = (find_method(cell.method), source)
        method, source = self._methods[cell.method]
        check_same("the method's source", source, cell.identity.method.source)
        return method

    def backbone(self, cell: Cell) -> Backbone:
        """The cell's backbone, loaded once per worker.

        Raises:
            StaleWorker: its weights or preprocessing are not what the cell was planned with.
        """
        from harness.backbones import load_backbone

        planned = cell.identity.backbone
        key = f"{cell.backbone_spec!r} {planned.precision}"
        if key not in self._backbones:
            loaded = load_backbone(cell.backbone_spec, self.device, planned.precision)
            self._backbones[key] = loaded
        found, here = self._backbones[key], preprocessing_by(self._backbones[key])
        check_same("the backbone's weights", found.fingerprint, planned.weights)
        check_same("the backbone's preprocessing", _hash(here), _hash(planned.preprocessing))
        return found

    def dataset(self, spec: DatasetSpec) -> Dataset:
        """A data set, loaded once per worker."""
        if spec not in self._datasets:
            self._datasets[spec] = load_dataset(spec)
        return self._datasets[spec]

    def reading(self, spec: DatasetSpec) -> Reading:
        """What a data set was read as, all of it where the spec is of half its classes."""
        if spec not in self._readings:
            self._readings[spec] = read_as(self.dataset(spec).whole)
        return self._readings[spec]

    def evaluation(
        self, spec: DatasetSpec, templates: tuple[str, ...], backbone: Backbone
    ) -> Evaluation:
        """The test split of a data set, under a backbone and these templates."""
        key = (_name(backbone), spec, templates)
        if key not in self._evaluations:
            data = self.dataset(spec)
            classes = Classes(data.class_names, templates)
            self._evaluations[key] = Evaluation(
                data, data.items("test"), classes, backbone, self._test_features
            )
            brought = data.text_features()
            if isinstance(backbone, FeaturesOnly) and brought is not None:
                # A classifier that is carried over to these names has no encoder to ask.
                backbone.tell(classes, torch.from_numpy(brought).to(backbone.device))
        return self._evaluations[key]

    def text(
        self, spec: DatasetSpec, templates: tuple[str, ...], backbone: Backbone
    ) -> Text | None:
        """Text features of a data set's classes, where there are any; shared, so copy them."""
        key = (_name(backbone), spec, templates)
        if key not in self._texts:
            data = self.dataset(spec)
            classes = Classes(data.class_names, templates)
            self._texts[key] = text_of(data, classes, backbone, self.support_features)
        return self._texts[key]

    def draw(self, cell: Cell, spec: DatasetSpec) -> Episode:
        """The cell's few-shot draw from a data set; the last ones are kept, for other methods."""
        key = (spec, cell.sampler_spec, cell.shots, cell.seed, cell.access)
        if key not in self._draws:
            _make_room(self._draws)
            self._check_sampler(cell)
            self._draws[key] = draw_of(cell, self.dataset(spec))
        return self._draws[key]

    def measures(self, cell: Cell) -> tuple[Measure, ...]:
        """The suite's own measures.

        Raises:
            StaleWorker: the source of one is not what the cell was planned with.
        """
        for reference, planned in zip(cell.measures, cell.identity.measures or (), strict=True):
            if reference not in self._measures:
                source = source_hash(reference, MEASURES)
                self._measures[reference] = (find_measure(reference), source)
            source = self._measures[reference][1]
            check_same(f'the source of the measure "{planned.name}"', source, planned.source)
        return tuple(self._measures[reference][0] for reference in cell.measures)

    def images(self, data: Dataset, items: tuple[Item, ...], draw_id: str) -> list[np.ndarray]:
        """The images of a draw."""
        key = (data.fingerprint, draw_id)
        if key not in self._images:
            _make_room(self._images)
            self._images[key] = data.read(items) if items else []
        return self._images[key]

    def _check_sampler(self, cell: Cell) -> None:
        assert cell.sampler_spec is not None and cell.identity.draw is not None
        here, planned = sampler_source(cell.sampler_spec), cell.identity.draw.source
        check_same("the sampler's source", here or "", planned or "")


def draw_of(cell: Cell, data: Dataset) -> Episode:
    """The cell's draw as its method sees it: of the classes adapted to, with their labels."""
    drawn = episode_of(cell, data)
    if data.whole is data:
        return drawn
    return replace(drawn, train=data.restrict(drawn.train), val=data.restrict(drawn.val))


def episode_of(cell: Cell, data: Dataset) -> Episode:
    """The cell's draw, made on all classes where the cell adapts to half of them."""
    whole = data.whole
    val = whole.splits.get("val", ())
    assert cell.sampler_spec is not None
    sampler = build_sampler(cell.sampler_spec, cell.shots, cell.seed)
    drawn = draw(whole.items("train"), val, cell.shots, cell.seed, sampler)
    return replace(drawn, val=tuple(whole.items("val"))) if cell.access.beyond_shots else drawn


class StaleWorker(RuntimeError):
    """A worker has other code, weights or data than its cells were planned with."""


def check_same(what: str, here: str, planned: str) -> None:
    if here != planned:
        raise StaleWorker(
            f"{what} changed since the run was planned ({planned[:12]} → {here[:12]}): "
            "run the same command again"
        )


def _hash(preprocessing: Preprocessing | None) -> str:
    return "none" if preprocessing is None else digest(preprocessing.canonical)


def _name(backbone: Backbone) -> str:
    return f"{backbone.fingerprint} {backbone.precision}"


def _make_room(kept: dict[Any, Any]) -> None:
    while len(kept) >= KEPT_DRAWS:
        del kept[next(iter(kept))]
