"""CLIP-Adapter: Better Vision-Language Models with Feature Adapters (Gao et al., IJCV 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.backbones import Backbone
from harness.task import Batch, Classes, Classifier, Method, Task, zero_shot_logits
from methods.checks import at_least, not_negative, positive, require
from methods.heads import feature_batches
from methods.optim import coop_budget, descend, kaiming_uniform


@dataclass(frozen=True)
class Config:
    """Ratio, reduction, rate and batch are those reported for the paper; momentum, decay, schedule
    and epochs are CoOp's, whose trainer the released code runs in."""

    ratio: float = 0.2
    """a, the adapter's share: .2 for ImageNet; .6 to .8 suit EuroSAT and DTD."""
    reduction: int = 4
    lr: float = 1e-5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_lr: float = 1e-5
    batch: int = 32
    epochs: int | None = None
    """None: CoOp's, by shots."""
    steps: int | None = None
    """A budget in steps, in place of `epochs`."""
    views: int = 0
    """0: fresh augmentation at every step. V > 0: one of V cached augmented views."""

    quick: ClassVar[Mapping[str, Any]] = {"ratio": 0.8, "steps": 300, "lr": 0.1, "views": 2}
    identity: ClassVar[Mapping[str, Any]] = {"ratio": 0.0, "steps": 0}

    def __post_init__(self) -> None:
        require(0 <= self.ratio <= 1, self, "ratio", "a number from 0 to 1")
        at_least(1, self, "reduction", "batch")
        at_least(0, self, "epochs", "steps", "views")
        positive(self, "lr", "warmup_lr")
        not_negative(self, "momentum", "weight_decay")


@dataclass
class AdapterClassifier(Classifier):
    """logits = τ y·t_c / ‖y‖, y = a·A(x) + (1−a)·x, A(x) = ReLU(up ReLU(down x)).

    x is the unnormalised frozen image feature, `text` (C, d) unit text features, `down`
    (d/reduction, d), `up` (d, d/reduction), no biases. With other names the adapter stays.
    """

    backbone: Backbone
    text: Tensor
    down: Tensor
    up: Tensor
    ratio: float
    measured: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trainable = self.down.numel() + self.up.numel()

    def logits(self, batch: Batch) -> Tensor:
        return self.scores(batch.features)

    def scores(self, x: Tensor) -> Tensor:
        """(n, C) logits of (n, d) features, differentiable in the adapter."""
        adapted = F.linear(F.linear(x, self.down).relu(), self.up).relu()
        y = self.ratio * adapted + (1 - self.ratio) * x
        return zero_shot_logits(y, self.text, self.backbone.logit_scale)

    @torch.no_grad()
    def rebind(self, classes: Classes) -> Classifier:
        text = self.backbone.text_features(classes)
        return AdapterClassifier(self.backbone, text, self.down, self.up, self.ratio)

    def state(self) -> dict[str, Tensor]:
        return {"down": self.down, "up": self.up}

    def details(self) -> dict[str, float]:
        return self.measured


class CLIPAdapter(Method):
    """A two-layer bottleneck on the image feature, mixed into it; the text side stays frozen."""

    name = "clip_adapter"
    Config = Config
    search_space = {"ratio": (0.2, 0.4, 0.6, 0.8), "lr": (1e-5, 1e-3, 1e-1)}  # noqa: RUF012

    def fit(self, task: Task) -> Classifier:
        config, d = self.config, task.backbone.feature_dim
        hidden = max(1, d // config.reduction)
        down = kaiming_uniform(hidden, d, task.generator).to(task.device).requires_grad_()
        up = kaiming_uniform(d, hidden, task.generator).to(task.device).requires_grad_()
        model = AdapterClassifier(task.backbone, task.text_features, down, up, config.ratio)
        steps, rate = coop_budget(config, len(task.support), task.shots)
        optimizer = torch.optim.SGD(
            [down, up], config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        measured = descend(
            task,
            optimizer,
            rate,
            feature_batches(task, config.views, config.batch, steps, drop_last=True),
            lambda data: F.cross_entropy(model.scores(data[0]), data[1]),
            steps,
        )
        state = {"down": down.detach(), "up": up.detach()}
        return self._classifier(task, state, measured)

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        return self._classifier(task, state, {})

    def _classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        down, up = state["down"].to(task.device), state["up"].to(task.device)
        text, ratio = task.text_features, self.config.ratio
        return AdapterClassifier(task.backbone, text, down, up, ratio, measured)
