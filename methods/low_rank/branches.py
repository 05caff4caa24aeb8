"""Low-rank updates as branches beside frozen linears, and the classifier that they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.backbones import Backbone
from harness.task import Batch, Classes, Classifier, zero_shot_logits


class Update(ABC):
    """ΔW of one frozen linear as a product of thin factors, zero at the start."""

    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """The tensors to train."""

    @abstractmethod
    def factors(self) -> tuple[Tensor, Tensor]:
        """`up` (out, r), scale included, and `down` (r, in), differentiable in `parameters`."""

    def delta(self) -> Tensor:
        """(out, in) ΔW = up·down."""
        up, down = self.factors()
        return up @ down


def detached(update: Update) -> tuple[Tensor, Tensor]:
    """Copies of an update's factors that nothing will train any more."""
    up, down = update.factors()
    return up.detach().clone(), down.detach().clone()


class Branch(nn.Module):
    """x ↦ up·down·dropout(x), (…, in) → (…, out); masks come from `generator`, if there is one."""

    def __init__(self, dropout: float = 0.0, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.keep, self.generator = 1 - dropout, generator

    def bind(self, factors: tuple[Tensor, Tensor]) -> Branch:
        """Use these thin factors from now on."""
        self.up, self.down = factors
        return self

    def forward(self, x: Tensor) -> Tensor:
        if self.generator is None or self.keep == 1:
            return F.linear(F.linear(x, self.down), self.up)
        kept = bernoulli(x.shape, self.keep, self.generator)
        return F.linear(F.linear(x * kept, self.down) / self.keep, self.up)


def bernoulli(shape: torch.Size, keep: float, generator: torch.Generator) -> Tensor:
    """Zeros and ones, float32 on the generator's device, each 1 with probability `keep`.

    A random byte decides where that is exact (keep = .75): drawing eight at a time costs a fifth
    of drawing floats, which was a tenth of a LoRA step on a CPU.
    """
    device, below = generator.device, 256 * keep
    if not below.is_integer():
        return torch.rand(shape, generator=generator, device=device).lt_(keep)
    words = torch.empty(-(-shape.numel() // 8), dtype=torch.int64, device=device)
    drawn = words.random_(-(2**63), None, generator=generator).view(torch.uint8)
    ones = torch.empty(shape, device=device)
    return torch.lt(drawn[: shape.numel()].view(shape), int(below), out=ones)


@dataclass
class LowRankClassifier(Classifier):
    """logits = τ f·t_c, f and t_c from the encoders with ΔW added at `factors`' sites.

    With other names the text is encoded again, by the adapted text encoder.
    """

    backbone: Backbone
    classes: Classes
    factors: Mapping[str, tuple[Tensor, Tensor]]
    trainable: int
    measured: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def __post_init__(self) -> None:
        self.towers = {site.partition(".")[0] for site in self.factors}
        frozen = self.backbone.sites
        self.weights = {s: frozen[s].weight + up @ down for s, (up, down) in self.factors.items()}
        with self.adapted():
            self.text = self.backbone.text_features(self.classes)

    def adapted(self) -> AbstractContextManager[None]:
        """The backbone with W + ΔW for W, inside a `with` block."""
        return self.backbone.substitute(self.weights)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        if "vision" in self.towers:
            with self.adapted():
                features = self.backbone.encode_image(batch.images)
        else:
            features = batch.features
        return zero_shot_logits(features, self.text, self.backbone.logit_scale)

    def rebind(self, classes: Classes) -> Classifier:
        return LowRankClassifier(self.backbone, classes, self.factors, self.trainable)

    def state(self) -> dict[str, Tensor]:
        """`vision.0.q.up` and `vision.0.q.down`, …: ΔW's factors, whatever they were made of."""
        up = {f"{site}.up": factors[0] for site, factors in self.factors.items()}
        down = {f"{site}.down": factors[1] for site, factors in self.factors.items()}
        return {**up, **down}

    def details(self) -> dict[str, float]:
        return self.measured
