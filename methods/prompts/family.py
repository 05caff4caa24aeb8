"""Prompts with learnt vectors in place of words, for every method that learns a context."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from harness.backbones import Backbone
from harness.task import Classes, NotApplicable

Position = Literal["end", "middle", "front"]
NONE: Mapping[int, Tensor] = MappingProxyType({})


class Prompts:
    """Token ids of "[context] words name." per class; entry −1−j stands for row j of the context.

    Position "end": SOT ctx words name . EOT; "front": SOT words name ctx . EOT; "middle": after
    the first half of the context. A class-specific context has its M rows class by class.

    Args:
        tokens: M, how many rows of the context stand in a prompt.
        words: what stands before every name, as it is, such as "of a".

    Raises:
        NotApplicable: a prompt is longer than the backbone's context length.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Classes,
        tokens: int,
        position: Position = "end",
        class_specific: bool = False,
        words: str = "",
    ) -> None:
        self.backbone, self.tokens, self.position = backbone, tokens, position
        self.words = f"{words} " if words else ""
        self.ids = [
            self._prompt(name.replace("_", " "), index * tokens if class_specific else 0)
            for index, name in enumerate(classes.names)
        ]

    def _prompt(self, name: str, row: int) -> list[int]:
        """One class's ids, its context from row `row` on."""
        context = [-1 - place for place in range(row, row + self.tokens)]
        before = {"end": self.tokens, "middle": self.tokens // 2, "front": 0}[self.position]
        tokenize = self.backbone.tokenize
        named = self.words + name
        sentence, length = tokenize(f"{named}."), len(tokenize(named))
        ids = [*context[:before], *sentence[:length], *context[before:], *sentence[length:]]
        if len(ids) + 2 > self.backbone.context_length:
            raise NotApplicable(
                f"the prompt of {name!r} has {len(ids) + 2} tokens with a context of "
                f"{self.tokens}, {self.backbone.name} reads {self.backbone.context_length}: lower "
                "context_tokens"
            )
        return [self.backbone.sot, *ids, self.backbone.eot]

    def encode(self, context: Tensor, deep: Mapping[int, Tensor] = NONE) -> Tensor:
        """(C, d) unit text features, differentiable in the (J, w) `context`, and in what takes its
        place at the input of later blocks."""
        return F.normalize(self.backbone.encode_prompts(self.ids, context, deep), dim=-1)
