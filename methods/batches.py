"""Minibatches of frozen features of augmented images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.methods.optim import minibatches
from harness.task import Task


def feature_batches(
    task: Task, views: int, batch: int, steps: int, drop_last: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """`steps` pairs of unnormalised frozen features (B, d) and labels (B,) of augmented images.

    With `views` = 0 every step augments afresh and runs the image tower, as released code does.
    With `views` = V > 0 every image takes one of its V cached augmented views at random: the
    image tower is frozen, so nothing else changes.
    """
    support, generator = task.support, task.generator
    if views and steps:
        bank = support.views(views)
        order = minibatches(len(support), batch, steps, generator, drop_last)
        for view, chosen in drawn_views(list(order), views, generator):
            view, chosen = view.to(bank.device), chosen.to(bank.device)
            yield bank[view, chosen].to(task.device), support.labels[chosen].to(task.device)
        return
    for chosen in minibatches(len(support), batch, steps, generator, drop_last):
        with torch.no_grad():
            features = task.backbone.encode_image(support.batch(chosen, generator))
        labels = support.labels[chosen.to(support.labels.device)]
        yield features.to(task.device), labels.to(task.device)


def drawn_views(
    order: Sequence[Tensor], views: int, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """For every batch of image numbers (B,), one view of each (B,), drawn at once for all steps."""
    sizes = [len(chosen) for chosen in order]
    drawn = torch.randint(views, (sum(sizes),), generator=generator)
    return list(zip(torch.split(drawn, sizes), order, strict=True))
