"""Linear probe: L2 logistic regression on frozen features, as CoOp's `lpclip` does it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pydantic.dataclasses
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.methods.config import AtLeastOne, Positive
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
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        features, labels = task.support.features, task.support.labels.cpu()
        if self.config.normalise:
            features = F.normalize(features, dim=-1)
        present = sorted(set(labels.tolist()))
        classes, d = len(task.classes), features.shape[1]
        weight, bias = torch.zeros(classes, d), torch.full((classes,), ABSENT)
        if len(present) == 1:
            bias[present], iterations = 0.0, 0
        else:
            model = LogisticRegression(C=self.config.C, max_iter=self.config.iterations)
            with warnings.catch_warnings(), threadpool_limits(torch.get_num_threads()):
                # That the iterations ran out is said by `iterations` in the record.
                warnings.simplefilter("ignore", ConvergenceWarning)
                # One image a class is what few-shot means, not a regression in disguise.
                warnings.filterwarnings("ignore", message="The number of unique classes")
                model.fit(features.cpu().double().numpy(), labels.numpy())
            w, b = torch.from_numpy(model.coef_).float(), torch.from_numpy(model.intercept_).float()
            if len(present) == 2:
                w, b = torch.cat([torch.zeros_like(w), w]), torch.cat([torch.zeros_like(b), b])
            weight[present], bias[present] = w, b
            iterations = int(model.n_iter_.max())
        state = {"weight": weight, "bias": bias}
        return self._classifier(task, state, {"iterations": float(iterations)})

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
