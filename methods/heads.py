"""What feature heads share: the frozen features they train on, and the frozen model's own rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.task import Batch, Classifier, Task, zero_shot_logits
from methods.optim import minibatches


def feature_batches(
    task: Task, views: int, batch: int, steps: int, drop_last: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """`steps` pairs of unnormalised frozen features (B, d) and labels (B,) of augmented images.

    With `views` = 0 every step augments afresh and runs the image tower, as released code does.
    With `views` = V > 0 every image takes one of its V cached augmented views at random: the
    image tower is frozen, so nothing else changes.
    """
    support, generator = task.support, task.generator
    bank = support.views(views) if views and steps else None
    for chosen in minibatches(len(support), batch, steps, generator, drop_last):
        labels = support.labels[chosen.to(support.labels.device)]
        if bank is None:
            with torch.no_grad():
                features = task.backbone.encode_image(support.batch(chosen, generator))
        else:
            view = torch.randint(len(bank), chosen.shape, generator=generator)
            features = bank[view.to(bank.device), chosen.to(bank.device)]
        yield features.to(task.device), labels.to(task.device)


@dataclass
class TextClassifier(Classifier):
    """logits = τ f·t_c with f the unit frozen image feature and `text` (C, d) unit features."""

    backbone: Backbone
    text: Tensor
    trainable: int = 0
    measured: dict[str, float] = field(default_factory=dict)

    def logits(self, batch: Batch) -> Tensor:
        return zero_shot_logits(batch.features, self.text, self.backbone.logit_scale)

    def details(self) -> dict[str, float]:
        return self.measured
