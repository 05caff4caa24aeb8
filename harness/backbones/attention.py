"""Attention as four linears q, k, v and out, so that every matrix can be adapted by itself.

open_clip's towers keep q, k and v in one fused weight. It is cut into three once, at load, which
changes no number beyond float rounding (2e-6), and each part becomes a named *site*.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PARTS = ("q", "k", "v", "out")


class SplitAttention(nn.Module):
    """Multi-head attention over separate q, k, v, out linears of width w.

    Called like `nn.MultiheadAttention(batch_first=True)` with `need_weights=False`.
    """

    def __init__(self, fused: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads: int = fused.num_heads
        weights = fused.in_proj_weight.chunk(3)
        biases = (None,) * 3 if fused.in_proj_bias is None else fused.in_proj_bias.chunk(3)
        self.q, self.k, self.v = map(linear, weights, biases)
        self.out = linear(fused.out_proj.weight, fused.out_proj.bias)

    def heads(self, x: Tensor) -> Tensor:
        """(…, L, w) → (…, heads, L, w / heads)."""
        return x.reshape(*x.shape[:-1], self.num_heads, -1).transpose(-2, -3)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """(n, L, w) queries, (n, M, w) keys and values → (n, L, w).

        The mask is added to the scores: (L, M), or (n·heads, L, M) as CoCa's text tower has it.
        """
        if attn_mask is not None and attn_mask.dim() == 3:
            attn_mask = attn_mask.view(-1, self.num_heads, *attn_mask.shape[1:])
        q, k, v = self.heads(self.q(query)), self.heads(self.k(key)), self.heads(self.v(value))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return self.out(mixed.transpose(-2, -3).flatten(-2)), None


class SplitProjection(nn.Module):
    """Stands in for the fused `qkv` linear of a timm attention: three linears, one output.

    The rest of timm's module (query and key norms, rotary positions, gates) stays as it is.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        self.q, self.k, self.v = map(linear, weight.chunk(3), biases)

    def forward(self, x: Tensor) -> Tensor:
        """(…, w) → (…, 3·w'), in the order q, k, v."""
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """An `nn.Linear` holding copies of `weight` (out, in) and `bias` (out,)."""
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    module.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return module


def split_attention(block: Any, attn: nn.Module) -> dict[str, nn.Linear] | None:
    """Split the self-attention `attn` of `block` in place → its linears under the names of `PARTS`.

    None where it is not of a known kind (pooling heads, ModifiedResNet, window attention): it is
    left untouched.
    """
    if type(block).__name__ == "ResidualAttentionBlock":
        parts = _split_open_clip(block, attn)
    elif type(attn).__module__.startswith("timm."):
        parts = _split_timm(attn)
    else:
        parts = None
    return None if parts is None else dict(zip(PARTS, parts, strict=True))


def _split_open_clip(block: Any, fused: nn.Module) -> tuple[nn.Linear, ...] | None:
    if not isinstance(fused, nn.MultiheadAttention) or fused.in_proj_weight is None:
        return None
    if not fused.batch_first or fused.bias_k is not None or fused.add_zero_attn:
        return None
    attn = block.attn = SplitAttention(fused)
    return attn.q, attn.k, attn.v, attn.out


def _split_timm(attn: Any) -> tuple[nn.Linear, ...] | None:
    if type(attn).__name__ not in ("Attention", "AttentionRope", "EvaAttention"):
        return None
    if attn.qkv is None:
        return attn.q_proj, attn.k_proj, attn.v_proj, attn.proj
    bias = attn.qkv.bias
    if getattr(attn, "q_bias", None) is not None:  # EVA keeps its biases outside of the linear
        bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
        attn.q_bias = attn.k_bias = attn.v_bias = None
    qkv = attn.qkv = SplitProjection(attn.qkv.weight, bias)
    return qkv.q, qkv.k, qkv.v, attn.proj
