"""The weight family: removable deltas on any parameter of the frozen encoders, with a scale.

θ = θ₀ + α·Δ: Δ is trained at α = 1, and the classifier may take less of it, as WiSE-FT does
(Wortsman et al., CVPR 2022: α = .5). A method here says which parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pydantic.dataclasses
import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.methods.config import Count, Share
from harness.methods.encoders import AdaptedClassifier, EncoderConfig, EncoderTrained
from harness.methods.step import Step
from harness.task import Classes, Classifier, NotApplicable, Task


@pydantic.dataclasses.dataclass(frozen=True)
class WeightsConfig(EncoderConfig):
    """LayerNorm tuning's budget (2SFS, CVPR 2025); decay draws Δ towards the frozen weights."""

    steps_per_shot: Count = 300
    scale: Share = 1.0
    """α: how much of Δ the classifier takes."""

    quick: ClassVar[Mapping[str, Any]] = {"steps": 60, "lr": 3e-2}
    identity: ClassVar[Mapping[str, Any]] = {"steps": 0}


class Weights(EncoderTrained):
    """Trains Δ of some parameters, through the encoders that they belong to."""

    towers: frozenset[str] = frozenset({"vision", "text"})
    """Which those are; before a backbone is seen, both."""

    @abstractmethod
    def chosen(self, backbone: Backbone) -> Sequence[str]:
        """Names among `backbone.parameters`, such as "vision.0.ln_1.weight"."""

    def adapts(self, tower: str) -> bool:
        return tower in self.towers

    def start(self, task: Task) -> dict[str, Tensor]:
        names = self.chosen(task.backbone)
        if not names:
            raise NotApplicable(f"{self.name}: {task.backbone.name} has no such parameters")
        self.towers = frozenset(name.partition(".")[0] for name in names)
        parameters = task.backbone.parameters
        return {name: torch.zeros_like(parameters[name]) for name in names}

    def during(self, step: Step) -> AbstractContextManager[Any]:
        return step.task.backbone.shift(self.tensors)

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        return ShiftedClassifier(task.backbone, task.classes, state, self.config.scale, measured)


@dataclass
class ShiftedClassifier(AdaptedClassifier):
    """logits = τ f·t_c of the encoders at θ₀ + α·Δ."""

    backbone: Backbone
    classes: Classes
    deltas: Mapping[str, Tensor]
    scale: float = 1.0
    measured: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trainable = sum(delta.numel() for delta in self.deltas.values())
        self.read(self.deltas)

    def adapted(self) -> AbstractContextManager[None]:
        return self.backbone.shift(self.deltas, self.scale)

    def rebind(self, classes: Classes) -> Classifier:
        return ShiftedClassifier(self.backbone, classes, self.deltas, self.scale)

    def state(self) -> dict[str, Tensor]:
        return dict(self.deltas)
