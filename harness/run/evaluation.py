"""Scoring a classifier on a split it has never seen. Only the engine holds these objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.datasets import Dataset, Item
from harness.features.cache import FeatureCache
from harness.features.encode import BATCH
from harness.measure import Scored
from harness.run.frozen import image_features, pixels, text_of
from harness.run.support import LazyBatch
from harness.task import Classes, Classifier, zero_shot_logits

if TYPE_CHECKING:
    from harness.backbones import Backbone

_KEEP_BYTES = 2**26
"""Preprocessed pixels, or pre-computed features, up to this size (64 MiB) are kept between cells;
larger sets are read again, a batch at a time."""


class Evaluation:
    """The images of `items` with their labels, under one backbone and one list of classes."""

    def __init__(
        self,
        dataset: Dataset,
        items: Sequence[Item],
        classes: Classes,
        backbone: Backbone,
        cache: FeatureCache,
    ) -> None:
        self.classes = classes
        self.labels = torch.tensor([item.label for item in items])
        self._dataset = dataset
        self._items = items
        self._backbone = backbone
        self._cache = cache
        self._plain: Tensor | None = None
        self._frozen: Tensor | None = None
        size = len(items) * 3 * backbone.image_size**2 * 4 if dataset.has_pixels else 0
        self._pixels: dict[int, Tensor] | None = {} if size <= _KEEP_BYTES else None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def paths(self) -> tuple[str, ...]:
        """The images' paths below the data set's root, in order."""
        return tuple(item.impath for item in self._items)

    def features(self) -> Tensor:
        """(n, d) frozen features of all images, from the cache."""
        if self._plain is None:
            self._plain = image_features(self._dataset, self._items, self._backbone, self._cache)
        return self._plain

    def batches(self) -> Iterator[LazyBatch]:
        """The images in order, `BATCH` at a time; pixels are read only when a method asks."""
        for start in range(0, len(self), BATCH):
            stop = min(start + BATCH, len(self))
            yield LazyBatch(
                stop - start,
                lambda start=start, stop=stop: self._images(start, stop),  # type: ignore[misc]
                lambda start=start, stop=stop: self._features(start, stop),  # type: ignore[misc]
            )

    @torch.no_grad()
    def logits(self, classifier: Classifier) -> Tensor:
        """(n, C) on the CPU, in float32.

        Raises:
            ValueError: a batch's logits do not have one row per image and one column per class.
        """
        parts = []
        for batch in self.batches():
            logits = classifier.logits(batch)
            expected = (len(batch), len(self.classes))
            if tuple(logits.shape) != expected:
                raise ValueError(
                    f"{type(classifier).__name__}.logits returned shape {tuple(logits.shape)}, "
                    f"expected {expected} (images, classes)"
                )
            if not torch.isfinite(logits).all():
                raise ValueError(f"{type(classifier).__name__}.logits returned NaN or infinity")
            parts.append(logits.float().cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def frozen_logits(self) -> Tensor | None:
        """(n, C) zero-shot logits of the frozen model under the same classes and templates.

        None where there are no text features, and so no frozen classifier.
        """
        if self._frozen is None:
            text = text_of(self._dataset, self.classes, self._backbone, self._cache)
            if text is None:
                return None
            parts = [
                zero_shot_logits(batch.features, text.features, self._backbone.logit_scale).float()
                for batch in self.batches()
            ]
            self._frozen = torch.cat(parts).cpu()
        return self._frozen

    def scored(self, classifier: Classifier, support: Tensor | None = None) -> Scored:
        """What measures see of a classifier; `support` are the labels of its support images."""
        of = torch.empty(0) if support is None else support
        counts = torch.bincount(of.long(), minlength=len(self.classes))
        logits = self.logits(classifier)
        return Scored(logits, self.frozen_logits(), self.labels, self.classes.names, counts)

    def _features(self, start: int, stop: int) -> Tensor:
        if self._mapped():
            found = torch.from_numpy(self._dataset.features(self._items[start:stop]))
        else:
            found = self.features()[start:stop]
        return found.to(self._backbone.device)

    def _mapped(self) -> bool:
        """Whether features come from the data set's own file, and are too many to be kept."""
        if self._dataset.has_pixels or not self._items:
            return False
        one = self._dataset.features(self._items[:1])
        return len(self) * int(one.nbytes) > _KEEP_BYTES

    def _images(self, start: int, stop: int) -> Tensor:
        if self._pixels is not None and start in self._pixels:
            return self._pixels[start]
        images = pixels(self._dataset, self._items[start:stop], self._backbone)
        if self._pixels is not None:
            self._pixels[start] = images
        return images
