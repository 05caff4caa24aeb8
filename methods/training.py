"""The one training loop: everything that is trained by steps on the support set goes through it.

A method says which tensors it trains and how features, text or logits come of them; it may add
to the loss, group parameters, and act at the hooks. See CONTRIBUTING.md for the smallest one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import AdamW, Optimizer

from harness.methods.batches import minibatches
from harness.methods.schedule import Schedule
from harness.methods.step import Step
from harness.task import Classifier, Method, Task, Work, zero_shot_logits


class Trained(Method):
    """A method that trains a few tensors by steps. An instance serves one fit: state may be kept
    on `self` from `start` on.
    """

    tensors: Mapping[str, Tensor]
    """What is being trained, by name: `start`'s tensors, from the first step on."""

    @abstractmethod
    def start(self, task: Task) -> dict[str, Tensor]:
        """The tensors to train, on the task's device, as they are before the first step."""

    @abstractmethod
    def schedule(self, classes: int, images: int, shots: int) -> Schedule:
        """Budget, learning rates and batches for so many classes and support images."""

    @abstractmethod
    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        """What the `learnt` tensors make; `measured` belongs among its `details`."""

    # How scores come of the tensors. Override what differs from the frozen model.

    def image_features(self, step: Step) -> Tensor:
        """(B, d) of any length; here the frozen encoder's."""
        return step.frozen.features

    def text_features(self, step: Step) -> Tensor:
        """(C, d) of unit length; here the frozen encoder's."""
        return step.task.text_features

    def logits(self, step: Step) -> Tensor:
        """(B, C); here τ·cos of the step's image and text features."""
        return zero_shot_logits(step.features, step.text, step.task.backbone.logit_scale)

    def loss(self, step: Step) -> Tensor:
        """The scalar that is descended; here the mean cross-entropy of the step's logits."""
        return F.cross_entropy(step.logits, step.labels)

    def adapts(self, tower: str) -> bool:
        """Whether gradients pass through the "vision" or the "text" encoder."""
        return False

    # How it is optimised.

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser; `"rate": 16.0` multiplies the schedule's rate."""
        return [{"params": list(self.tensors.values())}]

    def optimizer(self, groups: Sequence[dict[str, Any]]) -> Optimizer:
        """A fresh optimiser; here AdamW with the Config's `lr` and, if any, `weight_decay`."""
        decay = getattr(self.config, "weight_decay", 0.0)
        return AdamW(groups, self.config.lr, weight_decay=decay, fused=True)

    # Hooks. Under half precision a step whose gradients overflow is skipped, hooks included.

    def during(self, step: Step) -> AbstractContextManager[Any]:
        """What is in place while a step is computed, forward and backward: injected branches,
        substituted weights."""
        return nullcontext()

    def before_step(self, step: Step) -> None:
        """Called before anything of the step is computed."""

    def after_backward(self, step: Step) -> None:
        """Called when `.grad` of the tensors is final (unscaled): gradient rules."""

    def after_step(self, step: Step) -> None:
        """Called when the optimiser has moved the tensors: retractions, budgets, averages."""

    def end_epoch(self, step: Step) -> None:
        """Called after the last step of every epoch."""

    # What the engine calls.

    def fit(self, task: Task) -> Classifier:
        self.tensors = {name: t.requires_grad_() for name, t in self.start(task).items()}
        measured = descend(self, task)
        return self.classifier(task, self.learnt(), measured)

    def learnt(self) -> dict[str, Tensor]:
        """What a classifier is made of: here the trained tensors, detached."""
        return {name: tensor.detach() for name, tensor in self.tensors.items()}

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        return self.classifier(task, {name: t.to(task.device) for name, t in state.items()}, {})

    def work(self, classes: int, images: int, shots: int) -> Work:
        how = self.schedule(classes, images, shots)
        seen, vision = how.steps * min(how.batch, images), self.adapts("vision")
        return Work(
            steps=how.steps,
            images=0 if vision or how.views else seen,
            images_trained=seen if vision else 0,
            prompts_trained=how.steps * classes if self.adapts("text") else 0,
            views=how.views * images,
            adapts_images=vision,
        )


def descend(method: Trained, task: Task) -> dict[str, float]:
    """Train `method.tensors`: one optimiser step per minibatch of the schedule.

    Under fp16 the loss is scaled, as in the released codes.

    Returns:
        {"first_loss": …, "last_loss": …}, or {} after zero steps.

    Raises:
        FloatingPointError: the last loss is not finite; quotes the learning rate.
    """
    images = len(task.support)
    how = method.schedule(len(task.classes), images, task.shots)
    optimizer = method.optimizer(method.groups())
    scaler = torch.amp.GradScaler(task.device.type, enabled=task.backbone.precision == "fp16-amp")
    per_epoch = how.per_epoch(images)
    losses: list[Tensor] = []
    for number, data in enumerate(minibatches(task, how)):
        step = Step(method, task, data, number, how.steps, number // per_epoch)
        loss = _advance(method, step, optimizer, scaler, how.rate(number))
        losses = [*losses[:1], loss]
        if (number + 1) % per_epoch == 0:
            method.end_epoch(step)
        task.progress(number + 1, how.steps)
    if losses and not math.isfinite(losses[-1]):
        raise FloatingPointError(
            f"the loss is {float(losses[-1])} after {how.steps} steps: lower lr = "
            f"{optimizer.defaults['lr']}"
        )
    return {"first_loss": float(losses[0]), "last_loss": float(losses[-1])} if losses else {}


def _advance(
    method: Trained, step: Step, optimizer: Optimizer, scaler: torch.amp.GradScaler, rate: float
) -> Tensor:
    """One step: hooks, forward, backward, update. The detached loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate", 1.0)
    method.before_step(step)
    optimizer.zero_grad()
    with method.during(step):
        loss = _scalar(method, method.loss(step))
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    scaler.unscale_(optimizer)
    whole = not scaler.is_enabled() or _finite(optimizer)
    if whole:
        method.after_backward(step)
    scaler.step(optimizer)
    scaler.update()
    if whole:
        method.after_step(step)
    return loss.detach()


def _scalar(method: Trained, loss: Any) -> Tensor:
    """The loss, if it is one."""
    if isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad:
        return loss
    found = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
    if isinstance(loss, Tensor) and loss.numel() == 1:
        found = "one that depends on no trained tensor"
    raise TypeError(f"{method.name}: loss(step) gave {found}, expected one number to descend")


def _finite(optimizer: Optimizer) -> bool:
    tensors = [p.grad for group in optimizer.param_groups for p in group["params"]]
    return all(bool(grad.isfinite().all()) for grad in tensors if grad is not None)
