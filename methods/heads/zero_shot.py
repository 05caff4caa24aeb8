"""Zero-shot CLIP (Radford et al., ICML 2021): the frozen model, nothing learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.methods.text_classifier import TextClassifier
from harness.task import Classes, Classifier, Method, Task


@dataclass(frozen=True)
class Config:
    """Zero-shot CLIP has no options: the templates belong to the task."""

    identity: ClassVar[Mapping[str, Any]] = {}


class ZeroShotClassifier(TextClassifier):
    """logits = τ f·t_c, t_c the normalised mean of the unit text features of all templates."""

    @torch.no_grad()
    def rebind(self, classes: Classes) -> Classifier:
        return ZeroShotClassifier(self.backbone, self.backbone.text_features(classes))


class ZeroShot(Method):
    """The row every other method is compared with; it reads no support image."""

    name = "zero_shot"
    Config = Config
    paper = "Radford et al., ICML 2021"
    uses_support = False
    zero_steps = "exact"
    transfer = "kept"

    def fit(self, task: Task) -> Classifier:
        return ZeroShotClassifier(task.backbone, task.text_features)

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        return self.fit(task)
