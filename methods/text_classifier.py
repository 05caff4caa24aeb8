"""The frozen model's own rule, under whatever text features a method learnt."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from harness.backbones import Backbone
from harness.task import Batch, Classifier, zero_shot_logits


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
