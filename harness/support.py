"""The two kinds of support set: drawn from images, or from pre-computed features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.task import Batch, FeaturesOnlyError, Support

Preprocess = Callable[[Sequence[np.ndarray]], Tensor]
"""uint8 images (H, W, 3) → (n, 3, H, W)."""
Augment = Callable[[Sequence[np.ndarray], torch.Generator], Tensor]
Views = Callable[[int], Tensor]


class ImageSupport(Support):
    """Support images in memory, with the frozen encoder's features computed when first asked."""

    def __init__(
        self,
        images: Sequence[np.ndarray],
        labels: Tensor,
        preprocess: Preprocess,
        augment: Augment,
        features: Callable[[], Tensor],
        views: Views,
        device: torch.device,
    ) -> None:
        self.labels = labels.to(device)
        self._images = list(images)
        self._preprocess = preprocess
        self._augment = augment
        self._features = features
        self._views = views
        self._device = device

    @property
    def features(self) -> Tensor:
        return self._features().to(self._device)

    def views(self, count: int) -> Tensor:
        return self._views(count).to(self._device)

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        return self._augment(self._pick(indices), generator).to(self._device)

    def plain(self, indices: Tensor) -> Tensor:
        return self._preprocess(self._pick(indices)).to(self._device)

    def _pick(self, indices: Tensor) -> list[np.ndarray]:
        return [self._images[i] for i in indices.tolist()]


class FeatureSupport(Support):
    """Pre-computed features: black-box adaptation, without an encoder."""

    def __init__(self, features: Tensor, labels: Tensor, device: torch.device) -> None:
        self.labels = labels.to(device)
        self._features = features.to(device)

    @property
    def features(self) -> Tensor:
        return self._features

    def views(self, count: int) -> Tensor:
        """The features as they are, `count` times: there are no pixels to augment."""
        return self._features.expand(count, -1, -1)

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        raise FeaturesOnlyError("this data set has pre-computed features and no pixels")

    def plain(self, indices: Tensor) -> Tensor:
        raise FeaturesOnlyError("this data set has pre-computed features and no pixels")


class LazyBatch(Batch):
    """Images to be classified: pixels and frozen features, each produced when first read."""

    def __init__(
        self, size: int, images: Callable[[], Tensor], features: Callable[[], Tensor]
    ) -> None:
        self._size = size
        self._images = images
        self._features = features

    def __len__(self) -> int:
        return self._size

    @property
    def images(self) -> Tensor:
        return self._images()

    @property
    def features(self) -> Tensor:
        return self._features()
