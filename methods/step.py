"""`Step`: one minibatch, and what a loss may ask of it. Nothing is computed before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from harness.methods.batches import Minibatch
from harness.task import Task, zero_shot_logits


class Scorer(Protocol):
    """How features, text and logits come of a step: the three faces of a trained method."""

    def image_features(self, step: Step) -> Tensor: ...

    def text_features(self, step: Step) -> Tensor: ...

    def logits(self, step: Step) -> Tensor: ...


@dataclass
class Step:
    """One step of training, on B images of C classes with d feature dimensions."""

    method: Scorer
    task: Task
    data: Minibatch
    number: int
    """Counted from 0."""
    total: int
    epoch: int

    @property
    def labels(self) -> Tensor:
        """(B,) class indices."""
        return self.data.labels

    @property
    def indices(self) -> Tensor:
        """(B,) which support images these are."""
        return self.data.indices

    @property
    def images(self) -> Tensor:
        """(B, 3, H, W) freshly augmented pixels.

        Raises:
            ValueError: the schedule trains on cached views, which have none.
        """
        if self.data.images is None:
            raise ValueError("cached views have no pixels: set views = 0 to train on images")
        return self.data.images

    @cached_property
    def features(self) -> Tensor:
        """(B, d) image features as the method now computes them, of any length."""
        return self.method.image_features(self)

    @cached_property
    def text(self) -> Tensor:
        """(C, d) unit text features as the method now computes them."""
        return self.method.text_features(self)

    @cached_property
    def logits(self) -> Tensor:
        """(B, C) what the loss is of."""
        return self.method.logits(self)

    @cached_property
    def frozen(self) -> Frozen:
        """The frozen model on the same augmented views."""
        return Frozen(self.task, self.data)


@dataclass
class Frozen:
    """What the frozen model says of a minibatch's very views, without gradients."""

    task: Task
    data: Minibatch

    @cached_property
    def features(self) -> Tensor:
        """(B, d) frozen image features, unnormalised."""
        if self.data.features is not None:
            return self.data.features
        assert self.data.images is not None
        backbone = self.task.backbone
        with torch.no_grad(), backbone.frozen():
            return backbone.encode_image(self.data.images).to(self.task.device)

    @property
    def text(self) -> Tensor:
        """(C, d) unit text features under the task's templates."""
        return self.task.text_features

    @cached_property
    def logits(self) -> Tensor:
        """(B, C) zero-shot logits."""
        return zero_shot_logits(self.features, self.text, self.task.backbone.logit_scale)
