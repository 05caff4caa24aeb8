"""Nearest class mean on frozen features (Mensink et al., TPAMI 2013, with the cosine)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from harness.task import Batch, Classifier, Method, Task, zero_shot_logits


@dataclass(frozen=True)
class Config:
    """Nearest class mean has no options."""


@dataclass
class MeanClassifier(Classifier):
    """logits = τ f·m_c, m_c the class mean of unit features, of unit length again.

    `means`: (C, d); a row of zeros for a class without an image, whose logit is −τ: never above
    another's.
    """

    means: Tensor
    scale: float

    def logits(self, batch: Batch) -> Tensor:
        empty = self.means.norm(dim=-1) == 0
        return zero_shot_logits(batch.features, self.means, self.scale).masked_fill(
            empty, -self.scale
        )

    def state(self) -> dict[str, Tensor]:
        return {"means": self.means}


class NearestClassMean(Method):
    """The class whose mean support feature is nearest; reads no text, and nothing is trained.

    What few-shot features are worth without a text encoder and without a choice to make: the line
    that a linear probe has to beat. It knows nothing of class names, so it is not transferable.
    """

    name = "nearest_class_mean"
    paper = "Mensink et al., TPAMI 2013"
    zero_steps = "none"
    Config = Config

    def fit(self, task: Task) -> Classifier:
        support = task.support
        member = F.one_hot(support.labels, len(task.classes)).to(support.features.dtype)  # (N, C)
        sums = member.T @ F.normalize(support.features, dim=-1)
        return self.restore(task, {"means": F.normalize(sums, dim=-1)})

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        return MeanClassifier(state["means"].to(task.device), task.backbone.logit_scale)
