"""What a prompt must be, and prompts as the model itself wants them: padded to one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from harness.backbones.packing import with_rows
from harness.backbones.tokens import Tokenizer

NONE: Mapping[int, Tensor] = MappingProxyType({})
"""No learnt vectors, at the input of no block."""


@dataclass(frozen=True)
class PromptRules:
    """What a text tower takes: ids from `sot` to `eot`, at most `length` of them."""

    tokens: Tokenizer
    sot: int
    length: int

    def check(self, prompts: Sequence[Sequence[int]], rows: int) -> None:
        """Refuse prompts that cannot be encoded beside a context of `rows` rows.

        Raises:
            ValueError: see `Backbone.encode_prompts`.
        """
        if not prompts:
            raise ValueError("no prompts to encode")
        for prompt in prompts:
            self.check_length(prompt, "a prompt")
            if len(prompt) < 2 or prompt[0] != self.sot or prompt[-1] != self.tokens.eot:
                ends = f"sot {self.sot} to eot {self.tokens.eot}"
                raise ValueError(f"a prompt must run from {ends}: {prompt}")
            if min(prompt) < -rows:
                raise ValueError(f"prompt entry {min(prompt)} with a context of {rows} rows")

    def check_length(self, ids: Sequence[int], what: str) -> None:
        """Refuse what the context cannot hold; `what` says whose ids they are."""
        count = len(ids) - (self.tokens.sot is None)
        if count > self.length:
            raise ValueError(f"{what} has {count} tokens, the context holds {self.length}")

    def padded(self, prompts: Sequence[Sequence[int]], device: torch.device) -> Padded:
        """The prompts at full length, without a start token that the vocabulary has not."""
        keep = [[i for i in p if self.tokens.sot is not None or i != self.sot] for p in prompts]
        ids = torch.tensor([row + [self.tokens.pad] * (self.length - len(row)) for row in keep])
        lengths = torch.tensor([[len(row)] for row in keep])
        prompt, column = (ids < 0).nonzero(as_tuple=True)
        return Padded(
            ids=ids.clamp(min=0).to(device),
            prompt=prompt.to(device),
            column=column.to(device),
            rows=(-1 - ids[prompt, column]).to(device),
            weights=(torch.arange(self.length) < lengths).float().flatten().to(device),
        )


@dataclass(frozen=True)
class Padded:
    """Prompts of equal length: `ids` (n, L), no context; its row `rows[i]` stands in `prompt[i]` at
    `column[i]`, all (m,). `weights` (n·L,) are 1 up to each end token and 0 behind it."""

    ids: Tensor
    prompt: Tensor
    column: Tensor
    rows: Tensor
    weights: Tensor

    def put(self, x: Tensor, learnt: Tensor) -> Tensor:
        """x (n, L, w) with the rows of `learnt` (J, w) where they belong; gradients reach it."""
        places = self.prompt * x.shape[1] + self.column
        return with_rows(x.flatten(0, 1), places, self.rows, learnt).view_as(x)


def check_learnt(
    learnt: Mapping[int, Tensor], blocks: int, width: int, rows: int | None, what: str
) -> None:
    """Refuse learnt vectors that a tower of so many blocks and such a width cannot take.

    Raises:
        ValueError: a block that there is not, or another shape than (rows, width); any number of
            rows will do where `rows` is None.
    """
    for block, tensor in learnt.items():
        if not 0 <= block < blocks:
            raise ValueError(f"{what} at block {block}: the blocks are 0 to {blocks - 1}")
        shape = tuple(tensor.shape)
        if len(shape) != 2 or shape != (shape[0] if rows is None else rows, width):
            count = "n" if rows is None else rows
            raise ValueError(f"{what} at block {block} of shape {shape}: give ({count}, {width})")
