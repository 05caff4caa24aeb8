"""What a method sees (`Task`, `Support`) and what it gives back (`Classifier`).

This module and `harness.backbones` are all that a method imports. Nothing in it leads to a test
image or a test label: a `Task` holds tensors of the support set, never the data set.

Shapes are written with N support images, C classes, d feature dimensions, V augmented views,
and H×W pixels. Features are *unnormalised* unless a name says otherwise.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from harness.classes import Classes, FeaturesOnlyError, NotApplicable

if TYPE_CHECKING:
    from harness.backbones import Backbone

__all__ = [
    "Batch",
    "Classes",
    "Classifier",
    "FeaturesOnlyError",
    "Method",
    "NotApplicable",
    "Support",
    "Task",
    "Work",
    "candidates",
    "zero_shot_logits",
]


class Support(ABC):
    """A few labelled images. Two implementations live in the engine: pixels, and features only."""

    labels: Tensor
    """(N,) int64 class indices."""

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    @property
    @abstractmethod
    def features(self) -> Tensor:
        """(N, d) frozen features of the plain (test-time) view."""

    @abstractmethod
    def views(self, count: int) -> Tensor:
        """(V, N, d) frozen features of `count` augmented views; the same views for every method."""

    @abstractmethod
    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 3, H, W) freshly augmented, preprocessed images of the support `indices` (B,).

        Raises:
            FeaturesOnlyError: the data set has pre-computed features and no pixels.
        """

    @abstractmethod
    def plain(self, indices: Tensor) -> Tensor:
        """(B, 3, H, W) images of the support `indices` under the test-time preprocessing."""


class Batch(ABC):
    """Images to be classified. Both views are lazy: a method pays for what it reads."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def images(self) -> Tensor:
        """(n, 3, H, W) preprocessed pixels."""

    @property
    @abstractmethod
    def features(self) -> Tensor:
        """(n, d) features of the frozen image encoder, unnormalised."""


@dataclass(frozen=True)
class Task:
    """One few-shot task, as a method sees it."""

    classes: Classes
    shots: int
    support: Support
    val: Support | None
    """The validation set, where the protocol grants one: few-shot, or the whole split."""
    backbone: Backbone
    text_features: Tensor
    """(C, d) unit-length text features of `classes` under the frozen encoder."""
    generator: torch.Generator
    """The only source of randomness a method may use (on the CPU)."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: Callable[[int, int], None] = lambda step, steps: None
    """Called as progress(step, steps) during training."""
    previous: Classifier | None = None
    """In a sequence of tasks, the classifier of the stage before; None at the first."""
    raw_text: Callable[[], Tensor] | None = field(default=None, repr=False)
    """Where `raw_text_features` come from, if they are known; else the backbone encodes them."""

    @cached_property
    def raw_text_features(self) -> Tensor:
        """(P, C, d) text features of `classes` under each of P templates, unnormalised.

        Of pre-computed ones the rows as they are in the file, P = 1; where those are of unit
        length, their norms are not known.
        """
        if self.raw_text is not None:
            return self.raw_text()
        with torch.no_grad():
            return self.backbone.raw_text_features(self.classes)


class Classifier(ABC):
    """An adapted classifier."""

    trainable: int = 0
    """How many numbers were trained."""

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """(n, C) class scores of a batch, scaled so that softmax gives probabilities."""

    def rebind(self, classes: Classes) -> Classifier | None:
        """The same adaptation under other class names; None where the method has no rule for it.

        Without one the engine takes columns of `logits` where all those classes are among the
        ones adapted to, and reports n/a elsewhere.
        """
        return None

    def state(self) -> dict[str, Tensor]:
        """Everything that was learnt, as named tensors."""
        return {}

    def details(self) -> dict[str, float]:
        """Scalars worth keeping in the record, such as `subspace_leakage` or the last loss."""
        return {}


@dataclass(frozen=True)
class Work:
    """What a fit asks of the encoders: counts of steps and of passes, for estimates of time.

    A pass is one image or one prompt through its encoder; *trained* means with gradient. Cached
    views are encoded once per draw, whichever methods read them.
    """

    steps: int = 0
    images: int = 0
    images_trained: int = 0
    prompts_trained: int = 0
    views: int = 0
    adapts_images: bool = False
    """Whether scoring runs the image encoder again, on every image scored."""


class Method(ABC):
    """A way of adapting a backbone. One small file each, in `methods/` or anywhere.

    `Config` is a frozen dataclass whose defaults are the paper's. Two class attributes of it serve
    `harness test`, both optional: `quick`, the settings that learn an easy task in seconds, and
    `identity`, those under which the method is the frozen model (such as {"steps": 0}).
    `search_space` names the hyper-parameters that `val_search` may choose, each with its candidate
    values. A method with `uses_support = False` ignores the draw: the grid runs it once per data
    set. `zero_steps` and `transfer` are promises, held to by `harness test`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {}
    uses_support: ClassVar[bool] = True
    paper: ClassVar[str] = ""
    """Authors, venue and year, shown by `harness list methods`."""
    zero_steps: ClassVar[Literal["exact", "near", "none"]] = "exact"
    """Whether untrained, under `Config.identity` where that is declared, it is the frozen model
    under the task's templates: but for rounding, nearly (a random part near zero), or not."""
    transfer: ClassVar[Literal["kept", "none"]] = "none"
    """Whether `rebind` keeps the adaptation under other class names, or there is no rule."""
    note: ClassVar[str] = ""
    """Shown beside the name wherever it appears, e.g. "re-derivation"."""

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    @abstractmethod
    def fit(self, task: Task) -> Classifier:
        """Adapt to the task's support set."""

    def work(self, classes: int, images: int, shots: int) -> Work:
        """What `fit` does on a support set of so many images; nothing, unless a method says."""
        return Work()

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        """The classifier whose `state()` was saved, without training."""
        raise NotImplementedError(f"{self.name} cannot restore a saved classifier")

    def search(self, evaluate: Callable[[Any], float], space: Mapping[str, Sequence[Any]]) -> Any:
        """The best Config by `evaluate` (accuracy in percent): here, over the whole grid.

        Ties go to the earlier candidate. `space` is `search_space` or what the suite puts in its
        place. `evaluate` sees the few-shot validation set only (under the `oracle` protocol, the
        test set, and the record says so).
        """
        return max(candidates(self.config, space), key=evaluate)


def candidates(config: Any, space: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Every Config that differs from `config` in the values of `space` only, in grid order."""
    combinations = itertools.product(*space.values())
    return [replace(config, **dict(zip(space, values, strict=True))) for values in combinations]


def zero_shot_logits(features: Tensor, text_features: Tensor, logit_scale: float) -> Tensor:
    """τ·cos(f, t_c): (n, d) features of any length, (C, d) unit-length text → (n, C).


    Everything that is compared with the frozen model goes through this one function, so that a
    method which has changed nothing differs from it by exactly nothing.
    """
    return logit_scale * torch.nn.functional.normalize(features, dim=-1) @ text_features.mT
