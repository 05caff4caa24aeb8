"""What a worker keeps warm between cells: backbones, data sets, features, evaluation sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness import seeds
from harness.datasets import Dataset, Item, load_dataset
from harness.datasets.spec import DatasetSpec
from harness.episode import Episode, draw
from harness.evaluation import Evaluation, text_features
from harness.features import FeatureCache
from harness.plan import Cell
from harness.support import Drawn, FeatureSupport, ImageSupport
from harness.task import Classes, Support, Task

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
        self._backbones: dict[str, Backbone] = {}
        self._datasets: dict[DatasetSpec, Dataset] = {}
        self._evaluations: dict[tuple[str, DatasetSpec, tuple[str, ...]], Evaluation] = {}
        self._texts: dict[tuple[str, DatasetSpec, tuple[str, ...]], Tensor] = {}

    def backbone(self, cell: Cell) -> Backbone:
        from harness.backbones import load_backbone

        key = f"{cell.backbone_spec!r} {cell.precision}"
        if key not in self._backbones:
            self._backbones[key] = load_backbone(cell.backbone_spec, self.device, cell.precision)
        return self._backbones[key]

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
        whole = data.whole
        val = whole.splits.get("val", ())
        drawn = draw(whole.items("train"), val, cell.shots, cell.seed, cell.sampler)
        if whole is data:
            return drawn
        return replace(drawn, train=data.restrict(drawn.train), val=data.restrict(drawn.val))

    def task(self, cell: Cell, episode: Episode, with_val: bool) -> Task:
        """The task a method sees. Each call gives a fresh generator of the same seed."""
        data, backbone = self.dataset(cell.dataset_spec), self.backbone(cell)
        classes = Classes(data.class_names, cell.templates)
        key = (f"{backbone.fingerprint} {backbone.precision}", cell.dataset_spec, cell.templates)
        if key not in self._texts:
            self._texts[key] = text_features(data, classes, backbone)
        return Task(
            classes=classes,
            shots=cell.shots,
            support=self._support(cell, episode.train, episode.id),
            val=self._support(cell, episode.val, episode.val_id) if with_val else None,
            backbone=backbone,
            text_features=self._texts[key],
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
            data.read(items) if items else [],
            labels,
            Drawn(data.fingerprint, tuple(item.impath for item in items), draw_id),
            backbone,
            cell.augment,
            self._support_features,
        )
