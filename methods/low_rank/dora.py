"""DoRA: Weight-Decomposed Low-Rank Adaptation (Liu et al., ICML 2024, arXiv 2402.09353).

A weight is its row norms m times its directions; LoRA turns the directions, and m is trained by
itself. Dropout acts on the low-rank branch alone (Hugging Face's applies it to the rescaling of
the frozen output too).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.methods.low_rank.lora import LoRA, LoRAUpdate
from harness.methods.low_rank.update import RowScaledUpdate, Update


class DoRAUpdate(RowScaledUpdate):
    """W′ = diag(m/‖W + sBA‖)(W + sBA), norms by row; m (out,) starts at W's own row norms."""

    def __init__(self, lora: LoRAUpdate, linear: nn.Linear) -> None:
        self.lora, self.linear = lora, linear
        self.m: Tensor = torch.linalg.vector_norm(linear.weight.detach(), dim=1)
        self.tensors = {**lora.tensors, "m": self.m}

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.lora.factors()

    def scale(self) -> Tensor:
        """c = m/‖W + sBA‖; the norm is a constant to the gradient (section 4.3)."""
        with torch.no_grad():
            norm: Tensor = torch.linalg.vector_norm(self.linear.weight + self.delta(), dim=1)
        return self.m / norm


class DoRA(LoRA):
    """LoRA's direction and a trained magnitude for every output of every chosen linear."""

    name = "dora"
    paper = "Liu et al., ICML 2024"

    def update(self, site: str, linear: nn.Linear, generator: torch.Generator) -> Update | None:
        lora = super().update(site, linear, generator)
        assert isinstance(lora, LoRAUpdate)
        return DoRAUpdate(lora, linear)
