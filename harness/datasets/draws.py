"""Few-shot draws: made by a sampler, identified by their content.

A draw is identified by its content (paths and labels), never by its seed alone: "seed 1" in two
papers is not the same data.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness import canonical
from harness.datasets.dataset import DatasetError, Item
from harness.datasets.samplers import Coop, Sampler, is_own


@dataclass(frozen=True)
class Episode:
    """One few-shot draw, in drawing order."""

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    sampler: str
    seed: int

    @cached_property
    def id(self) -> str:
        """Content identity of the support set: SHA-256 (hex), the same in any order."""
        return content_id(self.train)

    @cached_property
    def val_id(self) -> str:
        """Content identity of the few-shot validation set."""
        return content_id(self.val)

    @property
    def splits(self) -> Mapping[str, Sequence[Item]]:
        """By "train" and "val"."""
        return {"train": self.train, "val": self.val}

    @cached_property
    def given(self) -> Counter[int]:
        """By label, how many different training images there are: a sampler may repeat one."""
        return Counter(item.label for item in set(self.train))


def content_id(items: Sequence[Item]) -> str:
    """SHA-256 (hex) of the sorted (path, label) pairs, repetitions included."""
    pairs = sorted((item.impath, item.label) for item in items)
    return canonical.content_id(pairs)


def draw(
    train_items: Sequence[Item],
    val_items: Sequence[Item],
    shots: int,
    seed: int,
    sampler: Sampler | None = None,
) -> Episode:
    """Draw a support set of `shots` images per class and a few-shot validation set.

    Args:
        sampler: says how; by default CoOp's.

    Raises:
        DatasetError: no training items, shots below 1, or a sampler that draws what it was not
            given, or nothing.
    """
    sampler = sampler or Coop()
    if shots < 1:
        raise DatasetError(f"shots is {shots}, expected at least 1")
    if not train_items:
        raise DatasetError("there are no training items to draw from")
    train, val = _pair(sampler, sampler.draw(train_items, val_items, shots, random.Random(seed)))
    _check(sampler, train, train_items, "train")
    _check(sampler, val, val_items, "val")
    if not train:
        raise DatasetError(f'sampler "{sampler.name}" drew no training image')
    return Episode(tuple(train), tuple(val), sampler.name, seed)


def _pair(sampler: Sampler, drawn: object) -> tuple[Sequence[Item], Sequence[Item]]:
    """`drawn`. Raises DatasetError unless it is two sequences; an item is a tuple too, but none."""
    parts = drawn if isinstance(drawn, list | tuple) else ()
    if len(parts) == 2 and all(
        isinstance(part, list | tuple) and not isinstance(part, Item) for part in parts
    ):
        return parts[0], parts[1]
    found = type(drawn).__name__ + (f" of {len(parts)}" if parts else "")
    raise DatasetError(
        f'sampler "{sampler.name}": draw returned a {found}, expected two lists: '
        "return support, validation"
    )


def _check(sampler: Sampler, drawn: Sequence[Item], pool: Sequence[Item], split: str) -> None:
    """Whether a sampler drew from what it was given."""
    if is_own(type(sampler)):
        return  # they do, and a pool may hold a million items
    strange = set(drawn).difference(pool)
    if strange:
        item = min(strange)
        raise DatasetError(
            f'sampler "{sampler.name}" drew {item!r} for {split}, which is not among the '
            f"{len(pool)} {split} items it was given"
        )
