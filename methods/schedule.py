"""How long a method trains, at which rates, on which batches; and the field's schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A budget in steps, and what every step takes."""

    steps: int
    rate: Callable[[int], float]
    """Learning rate of a step, counted from 0."""
    batch: int
    views: int = 0
    """0: images are augmented afresh at every step and pass through the image encoder. V > 0: one
    of V cached augmented views each, where the image encoder stays frozen."""
    drop_last: bool = False
    """Whether an unfilled batch at the end of an epoch is left out."""

    def per_epoch(self, images: int) -> int:
        """Steps in an epoch over so many images."""
        return steps_per_epoch(images, self.batch, self.drop_last)


def steps_per_epoch(images: int, batch: int, drop_last: bool) -> int:
    """Batches in an epoch. An unfilled one is dropped only where a filled one remains."""
    return images // batch if drop_last and images >= batch else math.ceil(images / batch)


def cosine(step: int, steps: int, lr: float, floor: float = 0.0) -> float:
    """Rate of `step` (from 0) on a half cosine from `lr` down to `floor` after `steps`."""
    return floor + (lr - floor) * (1 + math.cos(math.pi * step / steps)) / 2


def drawn_shots(shots: int, images: int, classes: int) -> int:
    """Images a class that a draw gave, for budgets in steps per shot: a pool may hold fewer than
    the shots asked for, and thousands of steps on a handful of images are nobody's intention."""
    return min(shots, math.ceil(images / classes))
