"""What a worker keeps warm between cells: backbones, data sets, features, evaluation sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harness import seeds
from harness.datasets import Dataset, Item, load_dataset
from harness.datasets.draws import Episode, draw
from harness.datasets.spec import DatasetSpec
from harness.features.cache import FeatureCache
from harness.plan.cell import Cell
from harness.plan.methods import find_method, method_source
from harness.run.evaluation import Evaluation, text_features
from harness.run.support import Drawn, FeatureSupport, ImageSupport, TextlessTask
from harness.task import Classes, Method, Support, Task

if TYPE_CHECKING:
    from harness.backbones import Backbone


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
        self._support_features = FeatureCache(cache)  # apart: it is reachable from a task
        self._methods: dict[str, tuple[type[Method], str]] = {}
        self._backbones: dict[str, Backbone] = {}
        self._images: dict[tuple[str, str], list[np.ndarray]] = {}
        self._datasets: dict[DatasetSpec, Dataset] = {}
        self._evaluations: dict[tuple[str, DatasetSpec, tuple[str, ...]], Evaluation] = {}
        self._texts: dict[tuple[str, DatasetSpec, tuple[str, ...]], Tensor | None] = {}

    def method(self, cell: Cell) -> type[Method]:
        """The cell's method.

        Raises:
            StaleWorker: its source is not what the cell was planned with.
        """
        if cell.method not in self._methods:
            source = method_source(cell.method)
            self._methods[cell.method] = (find_method(cell.method), source)
        method, source = self._methods[cell.method]
        _same("the method's source", source, cell.identity["method"]["source"])
        return method

    def backbone(self, cell: Cell) -> Backbone:
        """The cell's backbone, loaded once per worker.

        Raises:
            StaleWorker: its weights are not what the cell was planned with.
        """
        from harness.backbones import load_backbone

        key = f"{cell.backbone_spec!r} {cell.precision}"
        if key not in self._backbones:
            self._backbones[key] = load_backbone(cell.backbone_spec, self.device, cell.precision)
        found = self._backbones[key]
        _same("the backbone's weights", found.fingerprint, cell.identity["backbone"]["weights"])
        return found

    @property
    def feature_seconds(self) -> float:
        """Seconds this worker has spent on features that later cells find in the cache."""
        return self._test_features.seconds + self._support_features.seconds

    def dataset(self, spec: DatasetSpec) -> Dataset:
        if spec not in self._datasets:
            self._datasets[spec] = load_dataset(spec)
        return self._datasets[spec]

    def evaluation(self, spec: DatasetSpec, templates: tuple[str, ...], cell: Cell) -> Evaluation:
        """The test split of a data set, under the cell's backbone and these templates."""
        backbone = self.backbone(cell)
        key = (f"{backbone.fingerprint} {backbone.precision}", spec, templates)
        if key not in self._evaluations:
            data = self.dataset(spec)
            classes = Classes(data.class_names, templates)
            self._evaluations[key] = Evaluation(
                data, data.items("test"), classes, backbone, self._test_features
            )
        return self._evaluations[key]

    def episode(self, cell: Cell) -> Episode:
        """The cell's few-shot draw; an empty one for a method that ignores the support set."""
        if cell.shots == 0:
            return Episode((), (), "none", 0)
        data = self.dataset(cell.dataset_spec)
        _same("the data set", data.fingerprint, cell.identity["dataset"]["fingerprint"])
        drawn = episode_of(cell, data)
        if data.whole is data:
            return drawn
        return replace(drawn, train=data.restrict(drawn.train), val=data.restrict(drawn.val))

    def task(self, cell: Cell, episode: Episode, with_val: bool) -> Task:
        """The task a method sees. Each call gives a fresh generator of the same seed."""
        data, backbone = self.dataset(cell.dataset_spec), self.backbone(cell)
        classes = Classes(data.class_names, cell.templates)
        key = (f"{backbone.fingerprint} {backbone.precision}", cell.dataset_spec, cell.templates)
        if key not in self._texts:
            self._texts[key] = text_features(data, classes, backbone, self._support_features)
        text = self._texts[key]
        # A copy: a method may train what it is given.
        kind, own = (TextlessTask, torch.empty(0, 0)) if text is None else (Task, text.clone())
        return kind(
            classes=classes,
            shots=cell.shots,
            support=self._support(cell, episode.train, episode.id),
            val=self._support(cell, episode.val, episode.val_id) if with_val else None,
            backbone=backbone,
            text_features=own,
            generator=seeds.generator(
                "train", cell.dataset, cell.shots, cell.seed, cell.identity["method"]["name"]
            ),
            device=backbone.device,
        )

    def _support(self, cell: Cell, items: tuple[Item, ...], draw_id: str) -> Support:
        data, backbone = self.dataset(cell.dataset_spec), self.backbone(cell)
        labels = torch.tensor([item.label for item in items], dtype=torch.long)
        if not data.has_pixels:
            features = torch.from_numpy(data.features(items)) if items else torch.empty(0, 0)
            return FeatureSupport(features, labels, backbone.device)
        return ImageSupport(
            self._read(data, items, draw_id),
            labels,
            Drawn(data.fingerprint, tuple(item.impath for item in items), draw_id),
            backbone,
            cell.augment,
            self._support_features,
        )

    def _read(self, data: Dataset, items: tuple[Item, ...], draw_id: str) -> list[np.ndarray]:
        """The images of a draw; those of the last two are kept, for its other methods."""
        key = (data.fingerprint, draw_id)
        if key not in self._images:
            while len(self._images) >= 2:  # a support and a validation set
                del self._images[next(iter(self._images))]
            self._images[key] = data.read(items) if items else []
        return self._images[key]


def episode_of(cell: Cell, data: Dataset) -> Episode:
    """The cell's draw, made on all classes where the cell adapts to half of them."""
    whole = data.whole
    val = whole.splits.get("val", ())
    drawn = draw(whole.items("train"), val, cell.shots, cell.seed, cell.sampler)
    return replace(drawn, val=tuple(whole.items("val"))) if cell.access.beyond_shots else drawn


class StaleWorker(RuntimeError):
    """A worker has other code, weights or data than its cells were planned with."""


def _same(what: str, here: str, planned: str) -> None:
    if here != planned:
        raise StaleWorker(
            f"{what} changed since the run was planned ({planned[:12]} → {here[:12]}): "
            "run the same command again"
        )
