"""Samplers: how the few images of a draw are chosen. The published ones, and how others are found.

Whoever writes one imports `Sampler` and `by_class` from here.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness import registry
from harness.datasets.dataset import DatasetError, Item
from harness.errors import did_you_mean

SAMPLERS = "harness.samplers"
"""Entry-point group of samplers."""

FILE = "file:"
"""Begins the reference to a draw in a file: no sampler, but named in a sampler's place."""

VAL_SHOTS = 4
"""CoOp's few-shot validation set has min(shots, 4) images per class."""

Drawn = tuple[Sequence[Item], Sequence[Item]]
"""Support items and validation items, in drawing order."""


@dataclass(frozen=True)
class Sampler(ABC):
    """A way of drawing. A frozen dataclass: its fields are the options that a suite may give."""

    name: ClassVar[str]

    @abstractmethod
    def draw(
        self, train: Sequence[Item], val: Sequence[Item], shots: int, rng: random.Random
    ) -> Drawn:
        """Some of `train` and some of `val`, which may be empty; `rng` is the only randomness."""


@dataclass(frozen=True)
class SamplerSpec:
    """Where a sampler is found: a name, `path/to/file.py:Class` or `file:PATH`; and its options."""

    reference: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Coop(Sampler):
    """CoOp's draw: train first, then val with the same generator.

    A class with fewer items than asked for gives all of them, in order. Source: KaiyangZhou's
    Dassl.pytorch; reproduces the published draws file for file.
    """

    name = "coop"

    def draw(
        self, train: Sequence[Item], val: Sequence[Item], shots: int, rng: random.Random
    ) -> Drawn:
        def sample(items: list[Item], count: int) -> list[Item]:
            return rng.sample(items, count) if len(items) >= count else items

        support = _each_class(train, shots, sample)
        return support, _each_class(val, min(shots, VAL_SHOTS), sample)


@dataclass(frozen=True)
class ClipLoRA(Sampler):
    """CLIP-LoRA's draw: val first, then train with the same generator.

    A class with fewer items than asked for is sampled with replacement. Source:
    MaxZanella/CLIP-LoRA.
    """

    name = "clip_lora"

    def draw(
        self, train: Sequence[Item], val: Sequence[Item], shots: int, rng: random.Random
    ) -> Drawn:
        def sample(items: list[Item], count: int) -> list[Item]:
            return rng.sample(items, count) if len(items) >= count else rng.choices(items, k=count)

        validation = _each_class(val, min(shots, VAL_SHOTS), sample)
        return _each_class(train, shots, sample), validation


def by_class(items: Sequence[Item]) -> list[list[Item]]:
    """Items grouped by label, groups in the order of first appearance."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(item.label, []).append(item)
    return list(groups.values())


def _each_class(
    items: Sequence[Item], count: int, sample: Callable[[list[Item], int], list[Item]]
) -> list[Item]:
    return [item for group in by_class(items) for item in sample(group, count)]


def is_own(sampler: type[Sampler]) -> bool:
    """Whether it is part of the project: its source is then no part of a cell's id."""
    return sampler.__module__.startswith("harness.datasets.")


def find_sampler(reference: str, base: Path | None = None) -> type[Sampler]:
    """The `Sampler` class that a name or a `path/to/file.py:Class` stands for.

    Raises:
        HarnessError: as `registry.find`; or the object is no sampler, or lacks its `name` or its
            `draw`.
    """
    known = registry.plugins(SAMPLERS)
    if ".py:" not in reference and reference not in known:
        hint = did_you_mean(reference, known)
        raise DatasetError(f'unknown sampler "{reference}"{hint}; or use "{FILE}PATH"')
    found = registry.find(SAMPLERS, reference, base)
    if not (isinstance(found, type) and issubclass(found, Sampler)):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise DatasetError(
            f'"{reference}": {what} is not a sampler: derive one from '
            "harness.datasets.samplers.Sampler"
        )
    cls = f'"{reference}": class {found.__name__}'
    name = getattr(found, "name", None)
    if not (isinstance(name, str) and name) or ":" in name:
        raise DatasetError(f'{cls} has no name without ":": write name = "my_sampler" in it')
    if "__dataclass_params__" not in vars(found) or not is_dataclass(found):
        raise DatasetError(f"{cls}: write @dataclass(frozen=True) above it")
    if getattr(found.draw, "__isabstractmethod__", False):
        raise DatasetError(f"{cls} does not define draw(self, train, val, shots, rng)")
    return found
