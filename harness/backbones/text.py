"""The causal text tower, fast and exact.

A token of a causal tower depends only on the tokens before it. So nothing after the end-of-text
token matters (no padding), and tokens that all prompts begin with have the same hidden states in
every prompt (encoded once). Prompts are therefore *packed*: the common prefix once, then each
prompt's own tokens, flat, at their true lengths. In attention the own tokens see the prefix's keys
and values and, causally, their own. In the last layer only the end-of-text tokens are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.backbones.attention import SplitAttention

Prompt = tuple[int, ...]


@dataclass(frozen=True)
class TextTower:
    """The parts of a causal text tower of width w, L positions and output dimension d."""

    embedding: nn.Module
    positions: nn.Parameter
    blocks: nn.ModuleList
    ln_final: nn.Module
    projection: nn.Parameter | nn.Linear | None


def causal_tower(model: Any) -> TextTower | None:
    """The text tower of an open_clip model, or None where the packed path would not be exact."""
    tower = getattr(model, "text", model)
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None:
        return None
    pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    if pool not in ("argmax", "eos"):
        return None
    blocks = tower.transformer.resblocks
    if not all(isinstance(block.attn, SplitAttention) for block in blocks):
        return None
    return TextTower(
        tower.token_embedding,
        tower.positional_embedding,
        blocks,
        tower.ln_final,
        tower.text_projection,
    )


@dataclass(frozen=True)
class Packing:
    """How prompts lie in the flat token sequence of length T: prefix, then groups of equal length.

    `ids` and `positions` are (T,). Row `rows[i]` of a learnt context stands at `learnt[i]`, both
    (m,). `groups` holds (prompts, own tokens each); `order` (n,) takes the packed prompts back to
    the caller's order.
    """

    ids: Tensor
    positions: Tensor
    learnt: Tensor
    rows: Tensor
    prefix: int
    groups: tuple[tuple[int, int], ...]
    order: Tensor

    @property
    def sizes(self) -> list[int]:
        """Tokens of the prefix and of each group; sums to T."""
        return [self.prefix, *(count * length for count, length in self.groups)]


def pack(prompts: Sequence[Prompt], device: torch.device) -> Packing:
    """Lay out `prompts`. Every prompt keeps at least one token of its own."""
    prefix = common_prefix(prompts)
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    lengths = [len(prompts[i]) for i in by_length]
    ids = list(prompts[0][:prefix])
    positions = list(range(prefix))
    for i in by_length:
        ids += prompts[i][prefix:]
        positions += range(prefix, len(prompts[i]))
    groups = tuple((lengths.count(n), n - prefix) for n in sorted(set(lengths)))
    learnt = [place for place, i in enumerate(ids) if i < 0]
    return Packing(
        ids=torch.tensor([max(i, 0) for i in ids], device=device),
        positions=torch.tensor(positions, device=device),
        learnt=torch.tensor(learnt, dtype=torch.long, device=device),
        rows=torch.tensor([-1 - ids[place] for place in learnt], dtype=torch.long, device=device),
        prefix=prefix,
        groups=groups,
        order=torch.tensor(by_length, device=device).argsort(),
    )


def common_prefix(prompts: Sequence[Prompt]) -> int:
    """How many leading tokens all prompts share, at most one less than the shortest."""
    first, last = min(prompts), max(prompts)
    longest = min(len(prompt) for prompt in prompts) - 1
    shared = 0
    while shared < longest and first[shared] == last[shared]:
        shared += 1
    return shared


def with_context(x: Tensor, places: Tensor, rows: Tensor, context: Tensor | None) -> Tensor:
    """x (T, w) with rows (m,) of `context` (J, w) at `places` (m,); gradients reach `context`."""
    if context is None:
        return x
    # An embedding lookup's backward pass adds up repeated rows in a fixed order, on any device.
    return x.index_copy(0, places, F.embedding(rows, context).to(x.dtype))


def encode_packed(tower: TextTower, packing: Packing, context: Tensor | None = None) -> Tensor:
    """(n, d) features, unnormalised, in the order of the packed prompts; differentiable."""
    x = with_context(tower.embedding(packing.ids), packing.learnt, packing.rows, context)
    x = x + tower.positions[packing.positions]
    for block in tower.blocks[:-1]:
        x = _block(block, x, packing)
    x = tower.ln_final(_last_block(tower.blocks[-1], x, packing))
    if isinstance(tower.projection, nn.Linear):
        x = tower.projection(x)
    elif tower.projection is not None:
        x = x @ tower.projection
    result: Tensor = x[packing.order]
    return result


def _block(block: Any, x: Tensor, packing: Packing) -> Tensor:
    """One residual attention block on all T tokens, (T, w) → (T, w)."""
    attn: SplitAttention = block.attn
    h = block.ln_1(x)
    parts = [torch.split(part, packing.sizes) for part in (attn.q(h), attn.k(h), attn.v(h))]
    prefix, *own = zip(*parts, strict=True)
    q, k, v = (attn.heads(part) for part in prefix)
    mixed = [_merge(F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True))]
    for (_, length), group in zip(packing.groups, own, strict=True):
        q_own, k_own, v_own = (attn.heads(_rows(part, length)) for part in group)
        mixed.append(_attend(q_own, k_own, v_own, k, v))
    x = x + block.ls_1(attn.out(torch.cat(mixed)))
    result: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return result


def _last_block(block: Any, x: Tensor, packing: Packing) -> Tensor:
    """The last block on the end-of-text tokens alone, (T, w) → (n, w)."""
    attn: SplitAttention = block.attn
    h = block.ln_1(x)
    ends = _end_tokens(x, packing)
    queries = torch.split(attn.q(_end_tokens(h, packing)), [count for count, _ in packing.groups])
    k_prefix, *k_groups = torch.split(attn.k(h), packing.sizes)
    v_prefix, *v_groups = torch.split(attn.v(h), packing.sizes)
    k, v = attn.heads(k_prefix), attn.heads(v_prefix)
    mixed = []
    for (_, length), q_own, k_own, v_own in zip(
        packing.groups, queries, k_groups, v_groups, strict=True
    ):
        q_end = attn.heads(q_own.unsqueeze(1))
        k_all, v_all = (attn.heads(_rows(part, length)) for part in (k_own, v_own))
        mixed.append(_attend(q_end, k_all, v_all, k, v))
    x = ends + block.ls_1(attn.out(torch.cat(mixed)))
    result: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return result


def _end_tokens(x: Tensor, packing: Packing) -> Tensor:
    """(T, w) → (n, w): the last token of each prompt."""
    _, *own = torch.split(x, packing.sizes)
    groups = zip(own, packing.groups, strict=True)
    return torch.cat([_rows(part, length)[:, -1] for part, (_, length) in groups])


def _attend(q: Tensor, k: Tensor, v: Tensor, k_prefix: Tensor, v_prefix: Tensor) -> Tensor:
    """The last queries of prompts of one length over prefix and own tokens.

    (n, heads, Q, e) queries, (n, heads, L, e) own keys and values, (heads, P, e) the prefix's
    → (n·Q, w). Query i of Q stands at own position L − Q + i.
    """
    n, _, queries, _ = q.shape
    k = torch.cat([k_prefix.expand(n, -1, -1, -1), k], dim=2)
    v = torch.cat([v_prefix.expand(n, -1, -1, -1), v], dim=2)
    mask = None
    if queries > 1:
        mask = torch.ones(queries, k.shape[2], dtype=torch.bool, device=q.device)
        mask = mask.tril(k.shape[2] - queries)
    return _merge(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))


def _rows(x: Tensor, length: int) -> Tensor:
    """(n·L, w) → (n, L, w)."""
    return x.view(-1, length, x.shape[-1])


def _merge(x: Tensor) -> Tensor:
    """(n, heads, L, e) → (n·L, heads·e)."""
    return x.transpose(1, 2).flatten(2).flatten(0, 1)
