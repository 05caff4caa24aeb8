"""`Dataset`: named classes, prompt templates, splits of labelled items, and how to read them.

Nothing here imports torch: planning a grid asks for items and fingerprints only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.canonical import content_id
from harness.classes import check_template
from harness.datasets.skipped import Skipped
from harness.errors import HarnessError, NotHere
from harness.features.augment import USUAL, AugmentSpec

SPLITS = ("train", "val", "test")


class DatasetError(HarnessError):
    """A data set, split file, draw or image is missing, corrupt or asked for by a wrong name."""


class MissingData(DatasetError, NotHere):
    """A data set, or a part of it, is not on this machine."""


class Item(NamedTuple):
    """One labelled image."""

    impath: str
    """Path relative to the data set's image root, with forward slashes."""
    label: int
    """Index into the data set's class names."""
    classname: str
    """The class name as the split file writes it (prompts use `Dataset.class_names`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(ABC):
    """A classification data set. Subclasses say where pixels or features come from.

    `read` and `features` accept items of any split, in any order, with repetitions.
    """

    name: str
    class_names: tuple[str, ...]
    """In label order, as they stand in prompts."""
    templates: tuple[str, ...]
    """Prompt templates with `{}` for the class name; several make an ensemble."""
    splits: Mapping[str, Sequence[Item]]
    """By "train", "val" and "test"; a set that serves for retention only has just "test"."""
    class_ids: tuple[str, ...] = ()
    """What tells classes apart across data sets where names do not, such as WordNet ids (two of
    ImageNet's names stand for two classes each); empty: the class names do."""
    augment: AugmentSpec = USUAL
    """How its images are cropped and flipped for training, unless a suite says otherwise."""
    description: str = ""
    source: str = ""
    licence: str = ""
    skipped: tuple[Skipped, ...] = ()
    """What lies with its files and is not part of it."""
    remarks: tuple[str, ...] = ()
    """What else to say of how it was read."""

    has_pixels: ClassVar[bool] = True
    """False where only pre-computed features exist: methods that run an encoder are skipped."""

    def __post_init__(self) -> None:
        for template in self.templates:
            try:
                check_template(template)
            except ValueError as error:
                raise DatasetError(f"{self.name}: {error}") from None
        for split in self.splits:
            if split not in SPLITS:
                raise DatasetError(f'{self.name}: unknown split "{split}", use one of {SPLITS}')
        self._check_labels()

    def _check_labels(self) -> None:
        for split, items in self.splits.items():
            for item in items:
                if not 0 <= item.label < len(self.class_names):
                    raise DatasetError(
                        f"{self.name}: {split} item {item.impath} has label {item.label}, "
                        f"but there are {len(self.class_names)} classes"
                    )

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content: class names, items, image bytes or sizes; not the name."""

    @property
    def whole(self) -> Dataset:
        """The data set that draws are made on; another one where this is half of it."""
        return self

    def restrict(self, items: Iterable[Item]) -> tuple[Item, ...]:
        """Of items of `whole`, those that belong to this data set, with its labels."""
        return tuple(items)

    def items(self, split: str) -> Sequence[Item]:
        """The items of a split.

        Raises:
            DatasetError: the data set has no such split.
        """
        try:
            return self.splits[split]
        except KeyError:
            there = ", ".join(self.splits) or "none"
            hint = "; use it as a retention set" if split == "train" else ""
            raise DatasetError(
                f'{self.name}: no "{split}" split (there are: {there}){hint}'
            ) from None

    def read(self, items: Sequence[Item]) -> list[NDArray[np.uint8]]:
        """The pixels of `items`: one uint8 (H, W, 3) RGB array each, sizes may differ.

        Raises:
            DatasetError: an image is missing or corrupt (named), or there are no pixels.
        """
        raise DatasetError(f"{self.name}: has pre-computed features only, no pixels")

    def features(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """(n, d) pre-computed image features of `items`.

        Raises:
            DatasetError: the data set has pixels, so that a backbone must compute features.
        """
        raise DatasetError(f"{self.name}: has pixels, no pre-computed features")

    def contents_by_split(self) -> Mapping[str, Sequence[bytes | str]]:
        """By split, a hash of each item's content, in their order; empty where there are none."""
        return {}

    def text_features(self) -> NDArray[np.float32] | None:
        """(C, d) unit-length pre-computed text features in label order, or None."""
        return None

    def raw_text_features(self) -> NDArray[np.float32] | None:
        """(C, d) pre-computed text features as they were given, of any length, or None."""
        return self.text_features()


def digest(class_names: Sequence[str], splits: Mapping[str, Iterable[Item]], content: Any) -> str:
    """SHA-256 (hex) of canonical JSON: class names, items of every split, and `content`.

    `content` is what stands for the pixels: a hash of the arrays, or file sizes.
    """
    identity = {
        "class_names": list(class_names),
        "splits": {split: [(i.impath, i.label) for i in items] for split, items in splits.items()},
        "content": content,
    }
    return content_id(identity)
