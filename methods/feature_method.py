"""Methods that train a few tensors by cross-entropy on frozen image features.

CLIP-Adapter, Tip-Adapter-F and CoOp share their training and differ in what is trained, how it
scores, and by which optimiser. Replicas of one data set and number of shots (other seeds, other
learning rates, …) can train as one batched computation: see `harness.methods.replicas`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from harness.methods.batches import feature_batches
from harness.methods.optim import descend
from harness.task import Classifier, Method, Task, Work


@dataclass(frozen=True)
class Training:
    """Budget, learning rate by step (from 0), and batches; see `heads.feature_batches`."""

    steps: int
    rate: Callable[[int], float]
    batch: int
    views: int
    drop_last: bool = False


class FeatureMethod(Method):
    """min over a few tensors of −log softmax(scores)[y] on frozen features of augmented images.

    `scorer` is written for any leading dimensions, so that R replicas are (R, …) tensors and
    (R, B, d) features.
    """

    @abstractmethod
    def start(self, task: Task) -> dict[str, Tensor]:
        """The tensors to train, as they are before the first step."""

    def constants(self, task: Task) -> dict[str, Tensor]:
        """What the scores depend on besides, and replicas may differ in; scalars as (1, 1)."""
        return {}

    @abstractmethod
    def scorer(self, task: Task) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
        """A function from trained tensors and constants, and (…, B, d) features, to logits."""

    @abstractmethod
    def optimizer(self, parameters: Sequence[Tensor]) -> Optimizer:
        """A fresh optimiser with one parameter group; of the same class for all replicas."""

    @abstractmethod
    def training(self, images: int, shots: int) -> Training:
        """Budget, learning rate and batches for so many support images."""

    def work(self, classes: int, images: int, shots: int) -> Work:
        how = self.training(images, shots)
        fresh = 0 if how.views else how.steps * min(how.batch, images)
        return Work(steps=how.steps, images=fresh, views=how.views * images)

    @abstractmethod
    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        """What the trained tensors make."""

    def fit(self, task: Task) -> Classifier:
        tensors = {name: tensor.requires_grad_() for name, tensor in self.start(task).items()}
        constants, scores = self.constants(task), self.scorer(task)
        how = self.training(len(task.support), task.shots)
        measured = descend(
            task,
            self.optimizer(list(tensors.values())),
            how.rate,
            feature_batches(task, how.views, how.batch, how.steps, how.drop_last),
            lambda data: F.cross_entropy(scores({**constants, **tensors}, data[0]), data[1]),
            how.steps,
        )
        return self.classifier(task, {k: t.detach() for k, t in tensors.items()}, measured)

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        return self.classifier(task, {name: t.to(task.device) for name, t in state.items()}, {})
