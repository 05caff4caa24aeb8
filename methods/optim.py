"""The training loop, learning-rate schedules and minibatch order that trained methods share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from harness.task import Task

Data = TypeVar("Data")


def descend(
    task: Task,
    optimizer: Optimizer,
    rate: Callable[[int], float],
    batches: Iterable[Data],
    loss_of: Callable[[Data], Tensor],
    steps: int,
) -> dict[str, float]:
    """One optimiser step per batch, step i (from 0) at learning rate `rate(i)`.

    Under half precision the loss is scaled, as in the released codes.

    Returns:
        {"first_loss": …, "last_loss": …}, or {} after zero steps.

    Raises:
        FloatingPointError: the last loss is not finite; quotes the learning rate.
    """
    half = task.backbone.precision == "fp16-amp"
    scaler = torch.amp.GradScaler(task.device.type, enabled=half)
    losses: list[Tensor] = []
    for step, data in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss = loss_of(data)
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        losses = [*losses[:1], loss.detach()]
        task.progress(step + 1, steps)
    if losses and not math.isfinite(losses[-1]):
        raise diverged(float(losses[-1]), steps, optimizer.defaults["lr"])
    return {"first_loss": float(losses[0]), "last_loss": float(losses[-1])} if losses else {}


def diverged(loss: float, steps: int, lr: float) -> FloatingPointError:
    """The error of a training that ended without a finite loss."""
    return FloatingPointError(f"the loss is {loss} after {steps} steps: lower lr = {lr}")


def cosine(step: int, steps: int, lr: float, floor: float = 0.0) -> float:
    """Rate of `step` (from 0) on a half cosine from `lr` down to `floor` after `steps`."""
    return floor + (lr - floor) * (1 + math.cos(math.pi * step / steps)) / 2


def coop_rate(epoch: int, epochs: int, lr: float, warmup_lr: float) -> float:
    """CoOp's rate of `epoch` (from 0): one epoch at `warmup_lr`, then a cosine of `epochs` epochs.

    The cosine starts when the warm-up ends and is not shortened by it, so the last epoch's rate
    is `cosine(epochs - 2, epochs, lr)` (KaiyangZhou/Dassl.pytorch, constant warm-up, recounted).
    """
    return warmup_lr if epoch == 0 else cosine(epoch - 1, epochs, lr)


def coop_epochs(shots: int) -> int:
    """CoOp's training length: 50 epochs for 1 shot, 100 for 2 and 4, 200 for 8 and 16."""
    return 50 if shots <= 1 else 100 if shots <= 4 else 200


def coop_budget(config: Any, images: int, shots: int) -> tuple[int, Callable[[int], float]]:
    """Steps, and rate by step, of a Config with `epochs`, `steps`, `batch`, `lr`, `warmup_lr`.

    `steps` goes before `epochs`; with neither, the epochs are CoOp's by shots.
    """
    per_epoch = steps_per_epoch(images, config.batch, drop_last=True)
    epochs = coop_epochs(shots) if config.epochs is None else config.epochs
    steps = per_epoch * epochs if config.steps is None else config.steps
    total = math.ceil(steps / per_epoch)
    return steps, lambda step: coop_rate(step // per_epoch, total, config.lr, config.warmup_lr)


def steps_per_epoch(images: int, batch: int, drop_last: bool) -> int:
    """Batches in an epoch. An unfilled one is dropped only where a filled one remains."""
    return images // batch if drop_last and images >= batch else math.ceil(images / batch)


def minibatches(
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


def kaiming_uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns) uniform in ±1/√columns: PyTorch's Kaiming-uniform with a = √5."""
    bound = 1 / math.sqrt(columns)
    return torch.empty(rows, columns).uniform_(-bound, bound, generator=generator)
