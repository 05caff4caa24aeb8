"""LoRA-Pro: are low-rank adapters properly optimised? (Wang et al., ICLR 2025, arXiv 2407.18242).

The gradients of A and B are replaced by those whose joint effect on W is as near as possible to
the full gradient's. Adam's moments live on that equivalent gradient, out×in, and its direction is
projected back onto the factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.optim import SGD, Optimizer

from harness.methods.config import NotNegative, Positive
from harness.methods.low_rank.lora import Config as LoRAConfig
from harness.methods.low_rank.lora import LoRA, LoRAUpdate
from harness.methods.step import Step
from harness.task import Task


@dataclass(frozen=True)
class Config(LoRAConfig):
    """CLIP-LoRA's training with the released rate and decay: a step moves W itself by about lr."""

    lr: Positive = 2e-5
    weight_decay: NotNegative = 0.0
    beta1: NotNegative = 0.9
    beta2: NotNegative = 0.999
    eps: Positive = 1e-8

    quick: ClassVar[Mapping[str, Any]] = {"steps": 80, "lr": 2e-3}


def adjusted(a: Tensor, b: Tensor, g_a: Tensor, g_b: Tensor, s: float) -> tuple[Tensor, Tensor]:
    """The gradients (g^A, g^B) of theorem 2.1, in float64, without the free matrix X.

    g^A = s⁻²(BᵀB)⁺g_A and g^B = s⁻²(I − P_B)g_B(AAᵀ)⁺ for a (r, in), b (out, r).
    """
    bb, aa = pseudo_inverse(b.T @ b), pseudo_inverse(a @ a.T)
    outside = g_b - b @ (bb @ (b.T @ g_b))
    return bb @ g_a / s**2, outside @ aa / s**2


def pseudo_inverse(gram: Tensor) -> Tensor:
    """(r, r) of a symmetric one; a direction that a factor lacks stays out of it."""
    inverse: Tensor = torch.linalg.pinv(gram, hermitian=True)
    return inverse


def equivalent(a: Tensor, b: Tensor, g_a: Tensor, g_b: Tensor, s: float) -> Tensor:
    """(out, in) g̃ = s(B g^A + g^B A) = G − (I − P_B)G(I − P_A), whatever X is."""
    new_a, new_b = adjusted(a, b, g_a, g_b, s)
    return s * (b @ new_a + new_b @ a)


def projected(direction: Tensor, a: Tensor, b: Tensor, s: float) -> tuple[Tensor, Tensor]:
    """Steps of A and B whose joint effect is `direction` (out, in) as nearly as they can.

    X solves BᵀB X + X AAᵀ = −s⁻²(BᵀB)⁺g_A Aᵀ: of all such steps, those nearest to the factors'
    own gradients.
    """
    g_a, g_b = s * b.T @ direction, s * direction @ a.T
    new_a, new_b = adjusted(a, b, g_a, g_b, s)
    (left, u), (right, v) = torch.linalg.eigh(b.T @ b), torch.linalg.eigh(a @ a.T)
    sums = (left[:, None] + right).clamp(min=torch.finfo(left.dtype).tiny)
    x = u @ ((u.T @ (-new_a @ a.T) @ v) / sums) @ v.T
    return new_a + x @ a, new_b - b @ x


class LoRAPro(LoRA):
    """LoRA whose two factors move together as full fine-tuning would move W."""

    name = "lora_pro"
    paper = "Wang et al., ICLR 2025"
    Config: ClassVar[type[Any]] = Config
    search_space = {"lr": (5e-6, 2e-5, 8e-5, 3.2e-4)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        tensors = super().start(task)
        zero = {site: update.delta().double() for site, update in self.updates.items()}
        self.mean, self.square = zero, {site: delta.clone() for site, delta in zero.items()}
        return tensors

    def optimizer(self, groups: Sequence[dict[str, Any]]) -> Optimizer:
        """Plain descent: the directions it is given are Adam's already."""
        return SGD(groups, self.config.lr, weight_decay=self.config.weight_decay)

    @torch.no_grad()
    def after_backward(self, step: Step) -> None:
        for site, update in self.updates.items():
            assert isinstance(update, LoRAUpdate)
            a, b, s = update.a.double(), update.b.double(), update.scale
            g_a, g_b = (t.grad.double() for t in (update.a, update.b) if t.grad is not None)
            direction = self.adam(site, equivalent(a, b, g_a, g_b, s), step.number + 1)
            new_a, new_b = projected(direction, a, b, s)
            update.a.grad, update.b.grad = new_a.to(update.a), new_b.to(update.b)

    def adam(self, site: str, gradient: Tensor, count: int) -> Tensor:
        """Adam's direction of an (out, in) gradient, the site's `count`-th."""
        c = self.config
        mean = self.mean[site].mul_(c.beta1).add_(gradient, alpha=1 - c.beta1)
        square = self.square[site].mul_(c.beta2).addcmul_(gradient, gradient, value=1 - c.beta2)
        unbiased = square / (1 - c.beta2**count)
        direction: Tensor = mean / (1 - c.beta1**count) / (unbiased.sqrt() + c.eps)
        return direction
