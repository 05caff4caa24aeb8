"""The two kinds of support set: drawn from images, or from pre-computed features.

They hold what was drawn and nothing that leads further: no data set, no cache that the test set
shares. Tests follow every reference to prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from harness import seeds
from harness.features.augment import AugmentSpec
from harness.features.cache import FeatureCache
from harness.features.encode import BATCH, encode, encoder_key, to_tensor
from harness.features.preprocess import augment
from harness.run.frozen import refuse_faults
from harness.task import Batch, FeaturesOnlyError, NotApplicable, Support, Task

if TYPE_CHECKING:
    from harness.backbones import Backbone


@dataclass(frozen=True)
class Drawn:
    """Which images were drawn: the data set's fingerprint, their paths, the draw's content id."""

    dataset: str
    paths: tuple[str, ...]
    id: str


class ImageSupport(Support):
    """Support images in memory; the frozen encoder's features are computed when first asked for."""

    def __init__(
        self,
        images: Sequence[np.ndarray],
        labels: Tensor,
        drawn: Drawn,
        backbone: Backbone,
        how: AugmentSpec,
        cache: FeatureCache,
    ) -> None:
        self.labels = labels.to(backbone.device)
        self._images = list(images)
        self._drawn = drawn
        self._backbone = backbone
        self._how = how
        self._cache = cache

    @property
    def features(self) -> Tensor:
        return self._cached({"view": "plain"}, lambda: self._batched(self._plain))

    def views(self, count: int) -> Tensor:
        return torch.stack([self._view(number) for number in range(count)])

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        return self._augmented(self._pick(indices), generator).to(self._backbone.device)

    def plain(self, indices: Tensor) -> Tensor:
        return to_tensor(self._pick(indices), self._backbone)

    def _view(self, number: int) -> Tensor:
        # Addressed by the draw and not by the method: all methods see the same views.
        generator = seeds.generator("view", self._drawn.id, number)
        key = {"view": number, "augment": self._how.model_dump(mode="json")}

        return self._cached(
            key, lambda: self._batched(lambda chunk: self._augmented(chunk, generator))
        )

    def _batched(self, view: Callable[[Sequence[np.ndarray]], Tensor]) -> Tensor:
        """(N, d) features of all images, `BATCH` of them in memory as pixels at a time."""
        chunks = (self._images[i : i + BATCH] for i in range(0, len(self._images), BATCH))
        return torch.cat([encode(view(chunk), self._backbone) for chunk in chunks])

    def _plain(self, images: Sequence[np.ndarray]) -> Tensor:
        return to_tensor(images, self._backbone)

    def _cached(self, view: dict[str, object], features: Callable[[], Tensor]) -> Tensor:
        key = {
            **encoder_key(self._backbone),
            "dataset": self._drawn.dataset,
            "items": self._drawn.paths,
            **view,
        }
        found = self._cache.get(key, features)
        refuse_faults(found, "the features of the support images", self._backbone)
        # A copy: a method may train what it is given, and the cache outlives the cell.
        return found.to(self._backbone.device, copy=True)

    def _augmented(self, images: Sequence[np.ndarray], generator: torch.Generator) -> Tensor:
        backbone = self._backbone
        size, mean, std = backbone.image_size, backbone.mean, backbone.std
        return augment(images, generator, self._how, size=size, mean=mean, std=std)

    def _pick(self, indices: Tensor) -> list[np.ndarray]:
        return [self._images[i] for i in indices.tolist()]


class FeatureSupport(Support):
    """Pre-computed features: black-box adaptation, without an encoder."""

    def __init__(self, features: Tensor, labels: Tensor, device: torch.device) -> None:
        self.labels = labels.to(device)
        self._features = features.to(device, copy=True)

    @property
    def features(self) -> Tensor:
        return self._features.clone()

    def views(self, count: int) -> Tensor:
        """The features as they are, `count` times: there are no pixels to augment."""
        return self._features.repeat(count, 1, 1)

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        raise FeaturesOnlyError("this data set has pre-computed features and no pixels")

    def plain(self, indices: Tensor) -> Tensor:
        raise FeaturesOnlyError("this data set has pre-computed features and no pixels")


class TextlessTask(Task):
    """A task whose classes have no text features: for methods that do not read them."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("text_features", "raw_text_features"):
            raise NotApplicable("this data set of features brings no text features")
        return super().__getattribute__(name)


class LazyBatch(Batch):
    """Images to be classified: pixels and frozen features, each produced when read, as a copy."""

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
        return self._images().clone()

    @property
    def features(self) -> Tensor:
        return self._features().clone()
