"""Learnt tokens in the image tower, at the inputs of its blocks.

VPT (Jia et al., ECCV 2022) and MaPLe (Khattak et al., CVPR 2023): tokens without positions stand
behind the image's own, enter before the normalisation in front of block 0, and are replaced at the
inputs of later blocks. No mask, so their place in the sequence does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.backbones.changes import Hooks


@dataclass(frozen=True)
class TokenEntries:
    """Where tokens of width v come in: the normalisation before block 0, and the blocks."""

    front: nn.Module
    blocks: Sequence[nn.Module]
    width: int

    def hooks(self, tokens: Mapping[int, Tensor]) -> Hooks:
        """Learnt tokens {block: (n, v)} behind the image's own; gone behind the last block, so
        that whatever pools there sees the image's own tokens alone."""
        before, standing = [], 0
        for block in sorted(tokens):
            at = self.blocks[block] if block else self.front
            before.append((at, _ending(tokens[block], standing)))
            standing = len(tokens[block])

        def without(x: Tensor, y: Tensor) -> Tensor:
            return y[:, : x.shape[1] - standing]

        return Hooks([(self.blocks[-1], without)], before)


def _ending(tokens: Tensor, standing: int) -> Callable[[Tensor], Tensor]:
    """(n, L + standing, v) → the first L, and behind them `tokens`."""

    def end(x: Tensor) -> Tensor:
        learnt = tokens.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, : x.shape[1] - standing], learnt], dim=1)

    return end


def token_entries(tower: Any) -> TokenEntries | None:
    """Those of a plain ViT of open_clip or timm; None for a tower of another kind."""
    trunk: Any = getattr(tower, "trunk", None)
    if type(trunk).__name__ == "VisionTransformer":
        return TokenEntries(trunk.norm_pre, list(trunk.blocks), int(trunk.embed_dim))
    if type(tower).__name__ == "VisionTransformer" and tower.transformer.batch_first:
        width = int(tower.class_embedding.shape[0])
        return TokenEntries(tower.ln_pre, list(tower.transformer.resblocks), width)
    return None
