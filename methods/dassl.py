"""The training of CoOp and of what was released inside its trainer (KaiyangZhou/Dassl.pytorch).

SGD with momentum and decay, one warm-up epoch, a cosine per epoch; the last step counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic.dataclasses import dataclass
from torch.optim import SGD, Optimizer

from harness.methods.config import AtLeastOne, Count, NotNegative, Positive
from harness.methods.schedule import Schedule, cosine, steps_per_epoch
from harness.methods.training import Trained


@dataclass(frozen=True)
class DasslConfig:
    """CoOp's training."""

    lr: Positive = 0.002
    momentum: NotNegative = 0.9
    weight_decay: NotNegative = 5e-4
    warmup_lr: Positive = 1e-5
    batch: AtLeastOne = 32
    epochs: Count | None = None
    """None: CoOp's by shots, 50 (1), 100 (2, 4) or 200 (8, 16)."""
    steps: Count | None = None
    """A budget in steps, in place of `epochs`."""
    views: Count = 0
    """0: fresh augmentation at every step. V > 0: one of V cached augmented views."""


class DasslTrained(Trained):
    """A method whose Config is a `DasslConfig`."""

    def optimizer(self, groups: Sequence[dict[str, Any]]) -> Optimizer:
        c = self.config
        return SGD(groups, c.lr, momentum=c.momentum, weight_decay=c.weight_decay)

    def schedule(self, classes: int, images: int, shots: int) -> Schedule:
        c = self.config
        per_epoch = steps_per_epoch(images, c.batch, drop_last=True)
        epochs = coop_epochs(shots) if c.epochs is None else c.epochs
        steps = per_epoch * epochs if c.steps is None else c.steps
        total = math.ceil(steps / per_epoch)

        def rate(step: int) -> float:
            return dassl_rate(step // per_epoch, total, c.lr, c.warmup_lr)

        return Schedule(steps, rate, c.batch, c.views, drop_last=True)


def coop_epochs(shots: int) -> int:
    """CoOp's training length: 50 epochs for 1 shot, 100 for 2 and 4, 200 for 8 and 16."""
    return 50 if shots <= 1 else 100 if shots <= 4 else 200


def dassl_rate(epoch: int, epochs: int, lr: float, warmup_lr: float) -> float:
    """Rate of `epoch` (from 0): one epoch at `warmup_lr`, then a cosine of `epochs` epochs.

    The cosine starts when the warm-up ends and is not shortened by it, so the last epoch's rate
    is `cosine(epochs - 2, epochs, lr)` (constant warm-up, recounted).
    """
    return warmup_lr if epoch == 0 else cosine(epoch - 1, epochs, lr)
