"""The causal text tower, fast and exact.

A token of a causal tower depends only on the tokens before it. So nothing after the end-of-text
token matters (no padding), and tokens that all prompts begin with have the same hidden states in
every prompt (encoded once). Prompts are therefore *packed*: the common prefix once, then each
prompt's own tokens, flat, at their true lengths or nearly so. In attention the own tokens see the
prefix's keys and values and, causally, their own. In the last layer only the end-of-text tokens
are computed.
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


class TextTower:
    """The parts of a causal text tower of width w, L positions and output dimension d.

    Parameters are looked up when they are used, as they may be substituted.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self.embedding: nn.Module = root.token_embedding
        self.blocks: nn.ModuleList = root.transformer.resblocks
        self.ln_final: nn.Module = root.ln_final

    @property
    def positions(self) -> Tensor:
        """(L, w)."""
        found: Tensor = self._root.positional_embedding
        return found

    @property
    def projection(self) -> Tensor | nn.Linear | None:
        """(w, d), or the linear that projects; None where the tower ends without."""
        found: Tensor | nn.Linear | None = self._root.text_projection
        return found


def causal_tower(model: Any) -> TextTower | None:
    """The text tower of an open_clip model, or None where the packed path would not be exact."""
    tower = getattr(model, "text", model)
    if getattr(tower, "attn_mask", None) is None or getattr(tower, "cls_emb", None) is not None:
        return None
    pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    if pool not in ("argmax", "eos"):
        return None
    if not all(isinstance(b.attn, SplitAttention) for b in tower.transformer.resblocks):
        return None
    return TextTower(tower)


@dataclass(frozen=True)
class Group:
    """`count` prompts with L = `length` own tokens each, the shorter ones padded at their ends.

    `causal` (L, P + L): which keys of the prefix and its own each token sees. `at_end`: the same
    for the end tokens, (count, 1, 1, P + L), or None where none is padded and they see all.
    """

    count: int
    length: int
    causal: Tensor
    at_end: Tensor | None


@dataclass(frozen=True)
class Packing:
    """How prompts lie in the flat token sequence of length T: the prefix, then the groups.

    `ids` and `positions` are (T,). Row `rows[i]` of a learnt context stands at `learnt[i]`, both
    (m,). `ends` (n,) are the end tokens; `order` (n,) takes the packed prompts back to the
    caller's order. `weights` (T,) says in how many prompts a token stands: all of them have the
    prefix, none has the padding.
    """

    ids: Tensor
    positions: Tensor
    learnt: Tensor
    rows: Tensor
    prefix: int
    groups: tuple[Group, ...]
    ends: Tensor
    order: Tensor
    weights: Tensor

    def split(self, x: Tensor) -> list[Tensor]:
        """(T, w) → the prefix (P, w) and each group (count, L, w)."""
        prefix, *own = torch.split(x, [self.prefix, *(g.count * g.length for g in self.groups)])
        pairs = zip(own, self.groups, strict=True)
        return [prefix, *(part.view(group.count, group.length, -1) for part, group in pairs)]


def pack(prompts: Sequence[Prompt], device: torch.device, group_cost: float = 0) -> Packing:
    """Lay out `prompts`. Every prompt keeps at least one token of its own.

    Args:
        group_cost: how many tokens' work a further group is worth; where padding costs less,
            prompts of different lengths share a group. Behind the end token nothing matters.
    """
    prefix = common_prefix(prompts)
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    own = [prompts[i][prefix:] for i in by_length]
    ids, positions, ends = list(prompts[0][:prefix]), list(range(prefix)), []
    groups, weights = [], [float(len(prompts))] * prefix
    for start, stop in group_runs([len(tokens) for tokens in own], group_cost):
        members, length = own[start:stop], len(own[stop - 1])
        for tokens in members:
            ends.append(len(ids) + len(tokens) - 1)
            ids += tokens + (0,) * (length - len(tokens))
            positions += range(prefix, prefix + length)
            weights += [1.0] * len(tokens) + [0.0] * (length - len(tokens))
        groups.append(_group([len(tokens) for tokens in members], prefix, device))
    learnt = [place for place, i in enumerate(ids) if i < 0]
    return Packing(
        ids=torch.tensor([max(i, 0) for i in ids], device=device),
        positions=torch.tensor(positions, device=device),
        learnt=torch.tensor(learnt, dtype=torch.long, device=device),
        rows=torch.tensor([-1 - ids[place] for place in learnt], dtype=torch.long, device=device),
        prefix=prefix,
        groups=tuple(groups),
        ends=torch.tensor(ends, device=device),
        order=torch.tensor(by_length, device=device).argsort(),
        weights=torch.tensor(weights, device=device),
    )


def _group(lengths: list[int], prefix: int, device: torch.device) -> Group:
    length = lengths[-1]
    causal = torch.ones(length, prefix + length, dtype=torch.bool, device=device).tril(prefix)
    last = torch.tensor(lengths, device=device) - 1
    at_end = causal[last][:, None, None] if lengths[0] < length else None
    return Group(len(lengths), length, causal, at_end)


def group_runs(lengths: Sequence[int], group_cost: float) -> list[tuple[int, int]]:
    """Cut ascending `lengths` into runs start:stop, each to be padded to its longest.

    Minimises padded tokens + group_cost · runs over all cuts between different lengths.
    """
    stops = [i for i in range(1, len(lengths)) if lengths[i - 1] < lengths[i]] + [len(lengths)]
    best: dict[int, tuple[float, list[tuple[int, int]]]] = {0: (0.0, [])}
    for stop in stops:
        best[stop] = min(
            (cost + group_cost + (stop - start) * lengths[stop - 1], [*runs, (start, stop)])
            for start, (cost, runs) in best.items()
        )
    return best[len(lengths)][1]


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
    result: Tensor = x.index_select(0, packing.order)
    return result


def _block(block: Any, x: Tensor, packing: Packing) -> Tensor:
    """One residual attention block on all T tokens, (T, w) → (T, w)."""
    attn: SplitAttention = block.attn
    h = block.ln_1(x)
    parts = [packing.split(part) for part in (attn.q(h), attn.k(h), attn.v(h))]
    prefix, *own = ([attn.heads(x) for x in qkv] for qkv in zip(*parts, strict=True))
    q, k, v = prefix
    mixed = [_merge(F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True))]
    for group, (q_own, k_own, v_own) in zip(packing.groups, own, strict=True):
        mixed.append(_attend(q_own, (k, k_own), (v, v_own), group.causal))
    x = x + block.ls_1(attn.out(torch.cat(mixed)))
    result: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return result


def _last_block(block: Any, x: Tensor, packing: Packing) -> Tensor:
    """The last block on the end-of-text tokens alone, (T, w) → (n, w)."""
    attn: SplitAttention = block.attn
    h = block.ln_1(x)
    queries = attn.q(h.index_select(0, packing.ends))[:, None]
    queries = torch.split(queries, [group.count for group in packing.groups])
    k, *k_own = (attn.heads(part) for part in packing.split(attn.k(h)))
    v, *v_own = (attn.heads(part) for part in packing.split(attn.v(h)))
    mixed = [
        _attend(attn.heads(q_end), (k, k_group), (v, v_group), group.at_end)
        for group, q_end, k_group, v_group in zip(
            packing.groups, queries, k_own, v_own, strict=True
        )
    ]
    x = x.index_select(0, packing.ends) + block.ls_1(attn.out(torch.cat(mixed)))
    result: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return result


def _attend(
    q: Tensor, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor], mask: Tensor | None
) -> Tensor:
    """Queries of one group's prompts over the prefix and the prompts' own tokens.

    (n, heads, Q, e) queries; keys and values as (heads, P, e) of the prefix and (n, heads, L, e);
    the mask says which keys are seen → (n·Q, w).
    """
    k, v = (
        torch.cat([shared.expand(len(q), -1, -1, -1), own], dim=2) for shared, own in (keys, values)
    )
    return _merge(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))


def _merge(x: Tensor) -> Tensor:
    """(n, heads, L, e) → (n·L, heads·e)."""
    return x.transpose(1, 2).flatten(2).flatten(0, 1)
