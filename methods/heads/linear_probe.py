"""Linear probe: L2 logistic regression on frozen features, as CoOp's `lpclip` does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pydantic.dataclasses
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.methods.config import AtLeastOne, Positive
from harness.methods.heads.logistic import CLOSE, logistic_regression
from harness.task import Batch, Classifier, Method, Task

ABSENT = -1e4
"""Logit of a class that the support set does not contain: never chosen, and finite."""


@pydantic.dataclasses.dataclass(frozen=True)
class Config:
    """lpclip always searches C, so no released value exists: 1 is the middle of its grid."""

    C: Positive = 1.0
    """Inverse strength of the L2 penalty, in scikit-learn's sense."""
    normalise: bool = False
    """False: the raw features, as lpclip. True: features of unit length."""
    iterations: AtLeastOne = 1000
    """At most; the record says how many were taken, and whether the minimum was reached."""
    tolerance: Positive = 1e-10
    """Of lbfgs, see `heads.logistic`: a hundredth of it changes no result."""


@dataclass
class LinearClassifier(Classifier):
    """logits = W f + b. `weight`: (C, d), `bias`: (C,)."""

    weight: Tensor
    bias: Tensor
    normalise: bool
    trainable: int
    measured: dict[str, float] = field(default_factory=dict)

    def logits(self, batch: Batch) -> Tensor:
        features = F.normalize(batch.features, dim=-1) if self.normalise else batch.features
        return features @ self.weight.T + self.bias

    def state(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias}

    def details(self) -> dict[str, float]:
        return self.measured


class LinearProbe(Method):
    """min over W, b of ½‖W‖² + C Σᵢ −log softmax(W fᵢ + b)[yᵢ], by lbfgs.

    It knows nothing of class names, so it is not transferable. With two classes scikit-learn
    fits one sigmoid; its score z becomes the logits (0, z).
    """

    name = "linear_probe"
    paper = "Radford et al., ICML 2021; CoOp's lpclip"
    zero_steps = "none"
    Config = Config
    search_space = {"C": (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)}  # noqa: RUF012

    def fit(self, task: Task) -> Classifier:
        features, labels, c = task.support.features, task.support.labels.cpu(), self.config
        if c.normalise:
            features = F.normalize(features, dim=-1)
        present, numbered = torch.unique(labels, return_inverse=True)
        classes, d = len(task.classes), features.shape[1]
        weight, bias = torch.zeros(classes, d), torch.full((classes,), ABSENT)
        measured = {"iterations": 0.0, "gradient": 0.0, "converged": 1.0}
        if len(present) == 1:
            bias[present] = 0.0
        else:
            found = logistic_regression(features, numbered, c.C, c.iterations, c.tolerance)
            weight[present], bias[present] = found.weight.float(), found.bias.float()
            measured = {
                "iterations": float(found.iterations),
                "gradient": found.gradient,
                "converged": float(found.gradient < CLOSE),
            }
        return self._classifier(task, {"weight": weight, "bias": bias}, measured)

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        return self._classifier(task, state, {})

    def _classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> LinearClassifier:
        weight, bias = state["weight"].to(task.device), state["bias"].to(task.device)
        trainable = weight.numel() + bias.numel()
        return LinearClassifier(weight, bias, self.config.normalise, trainable, measured)

    def search(self, evaluate: Callable[[Any], float], space: Mapping[str, Sequence[Any]]) -> Any:
        """lpclip's search: the grid, then 8 bisection steps in log10 C around the grid's best.

        Each step compares both ends of the interval (at first the best C divided and multiplied
        by 10) and keeps the half next to the better end; ties keep the smaller C. The better end
        of the last step is the answer, as in the released code. A `space` of other
        hyper-parameters than C alone is searched as a plain grid.
        """
        if set(space) != {"C"}:
            return super().search(evaluate, space)
        seen: dict[float, float] = {}

        def score(c: float) -> float:
            if c not in seen:
                seen[c] = evaluate(replace(self.config, C=c))
            return seen[c]

        peak = max(space["C"], key=score)
        left, right = peak / 10, peak * 10
        for _ in range(8):
            middle = 10 ** ((math.log10(left) + math.log10(right)) / 2)
            if score(left) < score(right):
                best, left = right, middle
            else:
                best, right = left, middle
        return replace(self.config, C=best)
