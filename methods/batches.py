"""Which images a step sees, in which views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.methods.schedule import Schedule, steps_per_epoch
from harness.task import Task


@dataclass(frozen=True)
class Minibatch:
    """B support images: their indices and labels (B,), and either pixels or cached features."""

    indices: Tensor
    labels: Tensor
    images: Tensor | None
    """(B, 3, H, W) freshly augmented; None where cached views are trained on."""
    features: Tensor | None
    """(B, d) frozen features of each image's view; None where pixels are given."""
    view: Tensor | None = None
    """(B,) which cached view of each image."""


def minibatches(task: Task, how: Schedule) -> Iterator[Minibatch]:
    """`how.steps` minibatches of the support set, in a new order every epoch.

    With cached views the views of all steps are drawn at once, after all orders.
    """
    support, generator = task.support, task.generator
    order = index_batches(len(support), how.batch, how.steps, generator, how.drop_last)
    if how.views and how.steps:
        yield from _cached(task, list(order), how.views)
        return
    for chosen in order:
        images = support.batch(chosen, generator)
        yield Minibatch(chosen, _labels(task, chosen), images, None)


def _cached(task: Task, order: list[Tensor], views: int) -> Iterator[Minibatch]:
    bank = task.support.views(views)  # (V, N, d)
    sizes = [len(chosen) for chosen in order]
    drawn = torch.randint(views, (sum(sizes),), generator=task.generator)
    for view, chosen in zip(torch.split(drawn, sizes), order, strict=True):
        features = bank[view.to(bank.device), chosen.to(bank.device)].to(task.device)
        yield Minibatch(chosen, _labels(task, chosen), None, features, view)


def _labels(task: Task, chosen: Tensor) -> Tensor:
    labels = task.support.labels
    return labels[chosen.to(labels.device)].to(task.device)


def index_batches(
    images: int, batch: int, steps: int, generator: torch.Generator, drop_last: bool = False
) -> Iterator[Tensor]:
    """`steps` tensors of at most `batch` indices below `images`, in a new order every epoch."""
    per_epoch = steps_per_epoch(images, batch, drop_last)
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        position = step % per_epoch
        if position == 0:
            order = torch.randperm(images, generator=generator)
        yield order[position * batch : (position + 1) * batch]
