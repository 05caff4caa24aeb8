"""LoRA on CLIP, few-shot: CLIP-LoRA (Zanella & Ben Ayed, CVPRW 2024; LoRA: Hu et al., ICLR 2022).

Deviation: prompts that share their first tokens pass through the text encoder's common prefix
once, so dropout draws one mask there for all classes, not one per class.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from harness.methods.config import Positive
from harness.methods.initial import kaiming_uniform
from harness.methods.low_rank.family import LowRank, LowRankConfig
from harness.methods.low_rank.update import Update


@dataclass(frozen=True)
class Config(LowRankConfig):
    """CLIP-LoRA's: rank 2 on q, k, v of every block of both encoders."""

    alpha: Positive = 1.0

    @property
    def scale(self) -> float:
        """s = α/√r, as rsLoRA."""
        return self.alpha / math.sqrt(self.rank)


class LoRAUpdate(Update):
    """ΔW = s·B A; both are trained, B (out, r) from zero and `a` (r, in) from what is given."""

    def __init__(self, a: Tensor, out_features: int, scale: float) -> None:
        self.scale, self.a = scale, a
        self.b = a.new_zeros(out_features, len(a))
        self.tensors = {"a": self.a, "b": self.b}

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.scale * self.b, self.a


class LoRA(LowRank):
    """ΔW = s·B A beside every chosen linear; A Kaiming-uniform (a = √5), B zero."""

    name = "lora"
    paper = "Zanella & Ben Ayed, CVPRW 2024; Hu et al., ICLR 2022"
    Config: ClassVar[type[Any]] = Config

    def update(self, site: str, linear: nn.Linear, generator: torch.Generator) -> Update | None:
        c, device = self.config, linear.weight.device
        a = kaiming_uniform(c.rank, linear.in_features, generator).to(device)
        return LoRAUpdate(a, linear.out_features, c.scale)
