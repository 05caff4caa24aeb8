"""Base-to-new: one half of a data set's classes (CoCoOp's protocol, Zhou et al., CVPR 2022).

Labels are sorted; the first ⌈C/2⌉ classes are `base`, the rest `new`. Draws are made on all
classes and then cut, so that the base images are those of the all-class draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dataset import Dataset, DatasetError, Item, digest
from harness.datasets.spec import DatasetSpec

Half = Literal["base", "new"]


@dataclass(frozen=True, kw_only=True, eq=False)
class HalfDataset(Dataset):
    """The items of half the classes, labels counted from 0."""

    parent: Dataset
    labels: range
    """The parent's labels that are kept."""

    @property
    def has_pixels(self) -> bool:  # type: ignore[override]
        return self.parent.has_pixels

    @property
    def whole(self) -> Dataset:
        return self.parent

    @cached_property
    def fingerprint(self) -> str:
        return digest(self.class_names, self.splits, self.parent.fingerprint)

    def restrict(self, items: Iterable[Item]) -> tuple[Item, ...]:
        return restricted(items, self.labels)

    def read(self, items: Sequence[Item]) -> list[NDArray[np.uint8]]:
        return self.parent.read(self._parents(items))

    def features(self, items: Sequence[Item]) -> NDArray[np.float32]:
        return self.parent.features(self._parents(items))

    def text_features(self) -> NDArray[np.float32] | None:
        return self._own(self.parent.text_features())

    def raw_text_features(self) -> NDArray[np.float32] | None:
        return self._own(self.parent.raw_text_features())

    def _own(self, every: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if every is None else every[self.labels.start : self.labels.stop]

    def _parents(self, items: Sequence[Item]) -> list[Item]:
        return [item._replace(label=item.label + self.labels.start) for item in items]


def half_name(name: str, half: Half) -> str:
    """What a half of the data set `name` is called: `dtd-base`, `dtd-new`."""
    return f"{name}-{half}"


def half_spec(spec: DatasetSpec, half: Half) -> DatasetSpec:
    """Half of a data set, under a name of its own."""
    uses = spec.uses or (None if spec.kind else spec.name)
    return spec.model_copy(update={"name": half_name(spec.name, half), "half": half, "uses": uses})


def halve(data: Dataset, half: Half) -> HalfDataset:
    """The base or the new half of a data set.

    Raises:
        DatasetError: it has fewer than two classes.
    """
    count = len(data.class_names)
    if count < 2:
        raise DatasetError(f"{data.name}: {count} class cannot be halved into base and new")
    middle = (count + 1) // 2
    labels = range(middle) if half == "base" else range(middle, count)
    return HalfDataset(
        name=data.name,
        class_names=data.class_names[labels.start : labels.stop],
        class_ids=data.class_ids[labels.start : labels.stop],
        templates=data.templates,
        augment=data.augment,
        splits={split: restricted(items, labels) for split, items in data.splits.items()},
        description=f"{half} classes of {data.description}",
        source=data.source,
        licence=data.licence,
        parent=data,
        labels=labels,
    )


def restricted(items: Iterable[Item], labels: range) -> tuple[Item, ...]:
    """The items of these labels, relabelled from 0."""
    return tuple(i._replace(label=i.label - labels.start) for i in items if i.label in labels)
