"""CLIP-Adapter: Better Vision-Language Models with Feature Adapters (Gao et al., IJCV 2024)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from harness.backbones import Backbone
from harness.methods.checks import at_least, not_negative, positive, require
from harness.methods.feature_method import FeatureMethod, Training
from harness.methods.optim import coop_budget, kaiming_uniform
from harness.task import Batch, Classes, Classifier, Task, zero_shot_logits


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


def mixed(x: Tensor, down: Tensor, up: Tensor, ratio: float | Tensor) -> Tensor:
    """y = a·A(x) + (1−a)·x, A(x) = ReLU(ReLU(x·down)·up), of (…, n, d) features."""
    adapted = ((x @ down).relu() @ up).relu()
    return ratio * adapted + (1 - ratio) * x


@dataclass
class AdapterClassifier(Classifier):
    """logits = τ y·t_c / ‖y‖, y = `mixed`(x).

    x is the unnormalised frozen image feature, `text` (C, d) unit text features, `down`
    (d, d/reduction), `up` (d/reduction, d), no biases. With other names the adapter stays.
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
        y = mixed(batch.features, self.down, self.up, self.ratio)
        return zero_shot_logits(y, self.text, self.backbone.logit_scale)

    @torch.no_grad()
    def rebind(self, classes: Classes) -> Classifier:
        text = self.backbone.text_features(classes)
        return AdapterClassifier(self.backbone, text, self.down, self.up, self.ratio)

    def state(self) -> dict[str, Tensor]:
        return {"down": self.down, "up": self.up}

    def details(self) -> dict[str, float]:
        return self.measured


class CLIPAdapter(FeatureMethod):
    """A two-layer bottleneck on the image feature, mixed into it; the text side stays frozen."""

    name = "clip_adapter"
    Config = Config
    search_space = {"ratio": (0.2, 0.4, 0.6, 0.8), "lr": (1e-5, 1e-3, 1e-1)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        d = task.backbone.feature_dim
        hidden = max(1, d // self.config.reduction)
        down = kaiming_uniform(hidden, d, task.generator)
        up = kaiming_uniform(d, hidden, task.generator)
        # Laid out so that gradients of batched products come as the tensors lie.
        return {k: t.T.contiguous().to(task.device) for k, t in (("down", down), ("up", up))}

    def constants(self, task: Task) -> dict[str, Tensor]:
        return {"ratio": torch.tensor([[self.config.ratio]], device=task.device)}

    def scorer(self, task: Task) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
        text, scale = task.text_features, task.backbone.logit_scale
        return lambda own, x: zero_shot_logits(mixed(x, **own), text, scale)

    def optimizer(self, parameters: Sequence[Tensor]) -> Optimizer:
        c = self.config
        return SGD(parameters, c.lr, momentum=c.momentum, weight_decay=c.weight_decay)

    def training(self, images: int, shots: int) -> Training:
        steps, rate = coop_budget(self.config, images, shots)
        return Training(steps, rate, self.config.batch, self.config.views, drop_last=True)

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        backbone, text = task.backbone, task.text_features
        ratio = self.config.ratio
        return AdapterClassifier(backbone, text, state["down"], state["up"], ratio, measured)
