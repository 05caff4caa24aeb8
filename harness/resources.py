"""What a worker keeps warm between cells: backbones, data sets, features, evaluation sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness import seeds
from harness.augment import AugmentSpec
from harness.datasets import Dataset, Item, load_dataset
from harness.datasets.spec import DatasetSpec
from harness.episode import Episode, draw
from harness.evaluation import (
    BATCH,
    Evaluation,
    encoder_key,
    image_features,
    text_features,
    to_tensor,
)
from harness.features import FeatureCache
from harness.images import augment
from harness.plan import Cell
from harness.support import FeatureSupport, ImageSupport
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
        self.features = FeatureCache(cache)
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
                data, data.items("test"), classes, backbone, self.features
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
        images = data.read(items) if items else []
        how = cell.augment

        def augmented(some: object, generator: torch.Generator) -> Tensor:
            return _augment(some, generator, how, backbone)

        def views(count: int) -> Tensor:
            return torch.stack([view(number) for number in range(count)])

        def view(number: int) -> Tensor:
            def compute() -> Tensor:
                # Addressed by the draw and not by the method: all methods see the same views.
                generator = seeds.generator("view", draw_id, number)
                return _encode(augmented(images, generator), backbone)

            key = {
                **encoder_key(backbone),
                "dataset": data.fingerprint,
                "items": [item.impath for item in items],
                "view": number,
                "augment": how.model_dump(mode="json"),
            }
            return self.features.get(key, compute)

        return ImageSupport(
            images,
            labels,
            preprocess=lambda some: to_tensor(some, backbone),
            augment=augmented,
            features=lambda: image_features(data, items, backbone, self.features),
            views=views,
            device=backbone.device,
        )


def _augment(
    images: object, generator: torch.Generator, how: AugmentSpec, backbone: Backbone
) -> Tensor:
    return augment(
        images,  # type: ignore[arg-type]
        generator,
        how,
        size=backbone.image_size,
        mean=backbone.mean,
        std=backbone.std,
    )


@torch.no_grad()
def _encode(images: Tensor, backbone: Backbone) -> Tensor:
    chunks = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return torch.cat([backbone.encode_image(c.to(backbone.device)) for c in chunks])
