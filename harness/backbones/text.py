"""The causal text tower, fast and exact.

A token of a causal tower depends only on the tokens before it. So nothing after the end-of-text
token matters (no padding), and tokens that all prompts begin with have the same hidden states in
every prompt (encoded once). Prompts are therefore *packed*: the common prefix once, then each
prompt's own tokens, flat, at their true lengths or nearly so. In attention the own tokens see the
prefix's keys and values and, causally, their own. In the last layer only the end-of-text tokens
are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.backbones.attention import SplitAttention
from harness.backbones.packing import Packing


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


def token_embedding(text: Any) -> nn.Embedding:
    """The module that turns ids into embeddings, of a native or a Hugging Face text tower."""
    if hasattr(text, "token_embedding"):
        native: nn.Embedding = text.token_embedding
        return native
    foreign: nn.Embedding = text.transformer.get_input_embeddings()
    return foreign


def text_blocks(model: Any) -> list[nn.Module]:
    """The blocks of a plain text transformer, (n, L, w) → (n, L, w) each; none in another kind."""
    transformer = getattr(getattr(model, "text", model), "transformer", None)
    if not getattr(transformer, "batch_first", False):
        return []
    return list(getattr(transformer, "resblocks", ()))


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


def encode_packed(
    tower: TextTower,
    packing: Packing,
    context: Tensor | None = None,
    deep: Mapping[int, Tensor] = {},  # never written
) -> Tensor:
    """(n, d) features, unnormalised, in the order of the packed prompts; differentiable.

    At the input of block b the rows of deep[b] (J, w) stand where those of the context did. A
    token of the prefix sees the same rows in every prompt, so it still is the same in all.
    """
    x = tower.embedding(packing.ids)
    x = x if context is None else packing.put(x, context)
    x = x + tower.positions[packing.positions]
    for depth, block in enumerate(tower.blocks):
        x = packing.put(x, deep[depth]) if depth in deep else x
        last = depth == len(tower.blocks) - 1
        x = _last_block(block, x, packing) if last else _block(block, x, packing)
    x = tower.ln_final(x)
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
