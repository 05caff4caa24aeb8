"""`Update`: what one frozen linear W becomes. Methods of the family differ in this alone.

Thin and wide updates say `factors`, ΔW = up·down. An `OffsetUpdate` starts at factors that are not
zero and counts from there. A `RowScaledUpdate` scales the rows of what comes of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.methods.low_rank.dropout import Dropout

Applied = Callable[[Tensor, Tensor], Tensor]
"""From a linear's input (…, in) and output (…, out) to the updated output."""


@dataclass(frozen=True)
class Delta:
    """What a trained update came to: W′ = diag(scale)·(W + up·down), without gradients.

    `up` (out, r), its scale included; `down` (r, in); `scale` (out,), or None for ones.
    """

    up: Tensor
    down: Tensor
    scale: Tensor | None = None

    def updated(self, weight: Tensor) -> Tensor:
        """(out, in) W′ for W = `weight`."""
        whole = weight + self.up @ self.down
        return whole if self.scale is None else self.scale[:, None] * whole

    def change(self, weight: Tensor) -> Tensor:
        """(out, in) ΔW = W′ − W."""
        return self.up @ self.down if self.scale is None else self.updated(weight) - weight

    def state(self) -> dict[str, Tensor]:
        """The tensors by name."""
        whole = {"up": self.up, "down": self.down, "scale": self.scale}
        return {name: tensor for name, tensor in whole.items() if tensor is not None}


class Update(ABC):
    """The update of one frozen linear (out, in)."""

    tensors: Mapping[str, Tensor]
    """What is trained, by name."""

    @abstractmethod
    def factors(self) -> tuple[Tensor, Tensor]:
        """`up` (out, r), scale included, and `down` (r, in), differentiable in `tensors`."""

    def bind(self, drop: Dropout) -> Applied:
        """The update of one step: y ↦ y + up·down·dropout(x).

        Factors so wide that ΔW itself is smaller than both are multiplied out first.
        """
        up, down = self.factors()
        if up.numel() + down.numel() > len(up) * down.shape[1]:
            delta = up @ down
            return lambda x, y: y + drop.through(x, delta)
        return lambda x, y: y + F.linear(drop.through(x, down), up)

    def delta(self) -> Tensor:
        """(out, in) ΔW as it is now."""
        up, down = self.factors()
        return up @ down

    @torch.no_grad()
    def learnt(self) -> Delta:
        """What the update came to, in copies that nothing will train any more."""
        up, down = self.factors()
        return Delta(up.detach().clone(), down.detach().clone())


class OffsetUpdate(Update):
    """ΔW = s(B A − B₀A₀) = s[B, −B₀]·[A; A₀]: what starts from a part of W leaves W itself alone.

    `a`, `b` start at A₀ (r, in) and B₀ (out, r). Equal to the papers' form, which subtracts sB₀A₀
    from W; both halves see the same dropped inputs, so the start is the frozen model.
    """

    def __init__(self, b: Tensor, a: Tensor, scale: float) -> None:
        self.scale = scale
        self.start = b, a
        self.tensors = {"b": b.clone(), "a": a.clone()}

    def factors(self) -> tuple[Tensor, Tensor]:
        b0, a0 = self.start
        b, a = self.tensors["b"], self.tensors["a"]
        return self.scale * torch.cat([b, -b0], dim=1), torch.cat([a, a0])

    @torch.no_grad()
    def learnt(self) -> Delta:
        """Exact zeros where nothing has moved: s(B A − B₀A₀) as computed leaves a rounding."""
        moved = any(
            not torch.equal(now, before)
            for now, before in zip((self.tensors["b"], self.tensors["a"]), self.start, strict=True)
        )
        found = super().learnt()
        return found if moved else Delta(torch.zeros_like(found.up), found.down)


class RowScaledUpdate(Update):
    """W′ = diag(c)(W + up·down), c (out,) of `scale`; the linear's bias is not scaled."""

    linear: nn.Linear

    @abstractmethod
    def scale(self) -> Tensor:
        """c (out,), differentiable in `tensors`."""

    def bind(self, drop: Dropout) -> Applied:
        """y ↦ y + (c − 1)·(y − bias) + c·(up·down·dropout(x))."""
        (up, down), c, bias = self.factors(), self.scale(), self.linear.bias

        def applied(x: Tensor, y: Tensor) -> Tensor:
            base = y if bias is None else y - bias
            return y + (c - 1) * base + c * F.linear(drop.through(x, down), up)

        return applied

    @torch.no_grad()
    def learnt(self) -> Delta:
        thin = super().learnt()
        return Delta(thin.up, thin.down, self.scale().detach().clone())
