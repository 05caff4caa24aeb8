"""MaPLe: Multi-modal Prompt Learning (Khattak et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from harness.methods.config import AtLeastOne, Count, Positive, require
from harness.methods.dassl import DasslConfig
from harness.methods.initial import kaiming_uniform
from harness.methods.prompts.deep import DeepPrompts
from harness.methods.prompts.family import Prompts
from harness.task import Classes, NotApplicable, Task

FIRST, REST = "a photo", "of a"
"""The words that the first context starts from, and those that stay words."""


@dataclass(frozen=True)
class Config(DasslConfig):
    """The released code's for base-to-new; its cross-data-set runs take depth 3."""

    depth: AtLeastOne = 9
    """J: blocks of both encoders, from the first, that get prompts of their own; all, where an
    encoder has fewer."""
    lr: Positive = 3.5e-3
    batch: AtLeastOne = 4
    epochs: Count | None = 5

    quick: ClassVar[Mapping[str, Any]] = {"steps": 80, "lr": 0.2, "warmup_lr": 0.2, "batch": 36}

    def __post_init__(self) -> None:
        require(not self.views, self, "views", "0: prompted image features move")


class MaPLe(DeepPrompts):
    """Two learnt tokens at the input of the first J blocks of the text encoder, P_l, and of the
    image encoder, F_l(P_l) with F_l linear, so that both move together."""

    name = "maple"
    paper = "Khattak et al., CVPR 2023"
    Config: ClassVar[type[Any]] = Config
    search_space = {"lr": (3.5e-4, 3.5e-3, 3.5e-2)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        """P_0 the words "a photo", the other P_l ~ N(0, .02²), F_l as PyTorch starts a linear."""
        backbone, generator = task.backbone, task.generator
        words = backbone.token_embedding(backbone.tokenize(FIRST))
        depth = min(self.config.depth, backbone.text_blocks, backbone.image_blocks)
        if not depth:
            raise NotApplicable(f"maple: {backbone.name} takes no tokens in both of its encoders")
        width, visual = words.shape[1], backbone.token_dim
        tensors = {"text.0": words}
        for block in range(1, depth):
            tensors[f"text.{block}"] = 0.02 * torch.randn(words.shape, generator=generator)
        for block in range(depth):
            tensors[f"couple.{block}.weight"] = kaiming_uniform(visual, width, generator)
            bias = torch.empty(visual).uniform_(-1, 1, generator=generator)
            tensors[f"couple.{block}.bias"] = bias / width**0.5
        return {name: tensor.to(task.device) for name, tensor in tensors.items()}

    def prompts(self, task: Task, classes: Classes) -> Prompts:
        """SOT P P "of a name." EOT, per class."""
        tokens = len(task.backbone.tokenize(FIRST))
        return Prompts(task.backbone, classes, tokens, words=REST)

    def text_tokens(self, state: Mapping[str, Tensor]) -> dict[int, Tensor]:
        return {int(k.split(".")[1]): t for k, t in state.items() if k.startswith("text.")}

    def image_tokens(self, state: Mapping[str, Tensor]) -> dict[int, Tensor]:
        return {
            block: tokens @ state[f"couple.{block}.weight"].T + state[f"couple.{block}.bias"]
            for block, tokens in self.text_tokens(state).items()
        }
