"""The image tower's exact shortcut: only the class token leaves the last block."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from harness.backbones.attention import SplitAttention


class ClassTokenBlock(nn.Module):
    """A residual attention block that computes its output for the class token alone.

    Behind the last block a `tok`-pooled tower reads one token of (n, L, w). Keys and values still
    need all L tokens; the query, the output projection and the MLP need one. Same numbers.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ls_1 = block.ln_1, block.attn, block.ls_1
        self.ln_2, self.mlp, self.ls_2 = block.ln_2, block.mlp, block.ls_2

    def forward(self, x: Tensor, attn_mask: None = None) -> Tensor:
        """(n, L, w) → (n, 1, w)."""
        h = self.ln_1(x)
        x = x[:, :1] + self.ls_1(self.attn(h[:, :1], h, h)[0])
        result: Tensor = x + self.ls_2(self.mlp(self.ln_2(x)))
        return result


def shorten_last_block(tower: Any) -> bool:
    """Put a `ClassTokenBlock` at the end of `tower` where its pooling allows; True if done."""
    if type(tower).__name__ != "VisionTransformer" or tower.attn_pool is not None:
        return False
    blocks = tower.transformer.resblocks
    if tower.pool_type != "tok" or tower.output_tokens:
        return False
    if not isinstance(blocks[-1].attn, SplitAttention):
        return False
    blocks[-1] = ClassTokenBlock(blocks[-1])
    return True
