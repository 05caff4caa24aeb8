"""LoRA on CLIP, few-shot: CLIP-LoRA (Zanella & Ben Ayed, CVPRW 2024; LoRA: Hu et al., ICLR 2022).

Deviation: prompts that share their first tokens pass through the text encoder's common prefix
once, so dropout draws one mask there for all classes, not one per class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.methods.checks import positive
from harness.methods.low_rank.branches import Update
from harness.methods.low_rank.family import LowRank, LowRankConfig
from harness.methods.optim import kaiming_uniform


@dataclass(frozen=True)
class Config(LowRankConfig):
    """CLIP-LoRA's: rank 2 on q, k, v of every block of both encoders."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "alpha")


class LoRAUpdate(Update):
    """ΔW = s·B A, s = α/√r. A (r, in) Kaiming-uniform (a = √5), B (out, r) zero."""

    def __init__(
        self, out_features: int, in_features: int, config: Config, generator: torch.Generator
    ) -> None:
        self.scale = config.alpha / math.sqrt(config.rank)
        self.a = kaiming_uniform(config.rank, in_features, generator)
        self.b = torch.zeros(out_features, config.rank)

    def to(self, device: torch.device) -> LoRAUpdate:
        """Ready to be trained on `device`."""
        self.a, self.b = (t.to(device).requires_grad_() for t in (self.a, self.b))
        return self

    def parameters(self) -> list[Tensor]:
        return [self.a, self.b]

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.scale * self.b, self.a


class LoRA(LowRank):
    """`subspace_leakage` is measured at k = half of each weight's rank: Comp-LoRA's default."""

    name = "lora"
    Config = Config

    def update(self, linear: nn.Linear, generator: torch.Generator) -> Update:
        out_features, in_features = linear.weight.shape
        update = LoRAUpdate(out_features, in_features, self.config, generator)
        return update.to(linear.weight.device)

    def protected(self, linear: nn.Linear) -> int:
        return int(min(linear.weight.shape) / 2 + 0.5)
