"""MaPLe: Multi-modal Prompt Learning (Khattak et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pydantic.dataclasses
import torch
from torch import Tensor

from harness.methods.config import AtLeastOne, Count, Positive, require
from harness.methods.dassl import DasslConfig, DasslTrained
from harness.methods.initial import kaiming_uniform
from harness.methods.prompts.family import Prompts
from harness.methods.step import Step
from harness.task import Batch, Classes, Classifier, NotApplicable, Task, zero_shot_logits

FIRST, REST = "a photo", "of a"
"""The words that the first context starts from, and those that stay words."""


@pydantic.dataclasses.dataclass(frozen=True)
class Config(DasslConfig):
    """The released code's for base-to-new; the papers' cross-data-set runs take depth 3."""

    depth: AtLeastOne = 9
    """J: blocks of both encoders, from the first, that get prompts of their own; all, where an
    encoder has fewer."""
    lr: Positive = 3.5e-3
    batch: AtLeastOne = 4
    epochs: Count | None = 5

    quick: ClassVar[Mapping[str, Any]] = {"steps": 80, "lr": 0.2, "warmup_lr": 0.2, "batch": 36}

    def __post_init__(self) -> None:
        require(not self.views, self, "views", "0: prompted image features move")


class MaPLe(DasslTrained):
    """Two learnt tokens at the input of the first J blocks of the text encoder, P_l, and of the
    image encoder, F_l(P_l) with F_l linear, so that both move together."""

    name = "maple"
    paper = "Khattak et al., CVPR 2023"
    zero_steps = "none"
    transfer = "kept"
    Config: ClassVar[type[Any]] = Config
    search_space = {"lr": (3.5e-4, 3.5e-3, 3.5e-2)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        backbone, generator = task.backbone, task.generator
        words = backbone.token_embedding(backbone.tokenize(FIRST))
        tokens, width = words.shape
        depth = min(self.config.depth, backbone.text_blocks, backbone.image_blocks)
        if not depth:
            raise NotApplicable(f"maple: {backbone.name} takes no tokens in both of its encoders")
        visual = backbone.token_dim
        tensors = {"text.0": words}
        for block in range(1, depth):
            tensors[f"text.{block}"] = 0.02 * torch.randn(tokens, width, generator=generator)
        for block in range(depth):
            tensors[f"couple.{block}.weight"] = kaiming_uniform(visual, width, generator)
            bias = torch.empty(visual).uniform_(-1, 1, generator=generator)
            tensors[f"couple.{block}.bias"] = bias / width**0.5
        self.prompts = prompts_of(task, task.classes, tokens)
        return {name: tensor.to(task.device) for name, tensor in tensors.items()}

    def text_features(self, step: Step) -> Tensor:
        return prompted_text(self.prompts, self.tensors)

    def image_features(self, step: Step) -> Tensor:
        return step.task.backbone.encode_image(step.images, visual_tokens(self.tensors))

    def adapts(self, tower: str) -> bool:
        return True

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        return MaPLeClassifier(task, task.classes, state, measured)


def prompts_of(task: Task, classes: Classes, tokens: int) -> Prompts:
    """SOT P P "of a name." EOT, per class."""
    return Prompts(task.backbone, classes, tokens, words=REST)


def by_block(state: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """P_l (n, w) by block."""
    return {int(k.split(".")[1]): t for k, t in state.items() if k.startswith("text.")}


def prompted_text(prompts: Prompts, state: Mapping[str, Tensor]) -> Tensor:
    """(C, d) unit text features."""
    deep = by_block(state)
    return prompts.encode(deep.pop(0), deep)


def visual_tokens(state: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """F_l(P_l) (n, v) by block of the image encoder."""
    return {
        block: tokens @ state[f"couple.{block}.weight"].T + state[f"couple.{block}.bias"]
        for block, tokens in by_block(state).items()
    }


@dataclass
class MaPLeClassifier(Classifier):
    """logits = τ f·t_c of both prompted encoders; with other names the prompts stay."""

    task: Task
    classes: Classes
    learnt: Mapping[str, Tensor]
    measured: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def __post_init__(self) -> None:
        self.trainable = sum(tensor.numel() for tensor in self.learnt.values())
        prompts = prompts_of(self.task, self.classes, len(self.learnt["text.0"]))
        self.text = prompted_text(prompts, self.learnt)
        self.tokens = visual_tokens(self.learnt)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        backbone = self.task.backbone
        features = backbone.encode_image(batch.images, self.tokens)
        return zero_shot_logits(features, self.text, backbone.logit_scale)

    def rebind(self, classes: Classes) -> Classifier:
        return MaPLeClassifier(self.task, classes, self.learnt)

    def state(self) -> dict[str, Tensor]:
        return dict(self.learnt)

    def details(self) -> dict[str, float]:
        return self.measured
