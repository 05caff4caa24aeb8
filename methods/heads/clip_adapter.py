"""CLIP-Adapter: Better Vision-Language Models with Feature Adapters (Gao et al., IJCV 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pydantic.dataclasses
import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.methods.config import AtLeastOne, Positive, Share
from harness.methods.dassl import DasslConfig, DasslTrained
from harness.methods.initial import kaiming_uniform
from harness.methods.step import Step
from harness.task import Batch, Classes, Classifier, Task, zero_shot_logits


@pydantic.dataclasses.dataclass(frozen=True)
class Config(DasslConfig):
    """Ratio, reduction, rate and batch are those reported for the paper; momentum, decay, schedule
    and epochs are CoOp's, whose trainer the released code runs in."""

    ratio: Share = 0.2
    """a, the adapter's share: .2 for ImageNet; .6 to .8 suit EuroSAT and DTD."""
    reduction: AtLeastOne = 4
    lr: Positive = 1e-5

    quick: ClassVar[Mapping[str, Any]] = {"ratio": 0.8, "steps": 300, "lr": 0.1, "views": 2}
    identity: ClassVar[Mapping[str, Any]] = {"ratio": 0.0, "steps": 0}


def mixed(x: Tensor, down: Tensor, up: Tensor, ratio: float) -> Tensor:
    """y = a·A(x) + (1−a)·x, A(x) = ReLU(ReLU(x·down)·up), of (n, d) features."""
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


class CLIPAdapter(DasslTrained):
    """A two-layer bottleneck on the image feature, mixed into it; the text side stays frozen."""

    name = "clip_adapter"
    paper = "Gao et al., IJCV 2024"
    transfer = "kept"
    Config = Config
    search_space = {"ratio": (0.2, 0.4, 0.6, 0.8), "lr": (1e-5, 1e-3, 1e-1)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        d = task.backbone.feature_dim
        hidden = max(1, d // self.config.reduction)
        down = kaiming_uniform(hidden, d, task.generator)
        up = kaiming_uniform(d, hidden, task.generator)
        return {k: t.T.contiguous().to(task.device) for k, t in (("down", down), ("up", up))}

    def image_features(self, step: Step) -> Tensor:
        return mixed(step.frozen.features, **self.tensors, ratio=self.config.ratio)

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        text, ratio = task.text_features, self.config.ratio
        return AdapterClassifier(task.backbone, text, **state, ratio=ratio, measured=measured)
