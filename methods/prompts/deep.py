"""Learnt tokens at the input of several blocks, of one encoder or both: what such methods share.

A method says its tensors, and which tokens come of them where (Jia et al., ECCV 2022; Khattak et
al., CVPR 2023).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.methods.dassl import DasslTrained
from harness.methods.prompts.family import Prompts
from harness.methods.step import Step
from harness.task import Batch, Classes, Classifier, Task, zero_shot_logits


class DeepPrompts(DasslTrained):
    """Trains tokens in both encoders; both features move."""

    zero_steps = "none"
    transfer = "kept"

    @abstractmethod
    def prompts(self, task: Task, classes: Classes) -> Prompts:
        """The class prompts that the first text tokens stand in."""

    @abstractmethod
    def text_tokens(self, state: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """(n, w) by block of the text encoder; block 0 is the context of the prompts."""

    @abstractmethod
    def image_tokens(self, state: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """(n, v) by block of the image encoder."""

    def adapts(self, tower: str) -> bool:
        return True

    def text_features(self, step: Step) -> Tensor:
        return self.prompted(step.task, step.task.classes, self.tensors)

    def image_features(self, step: Step) -> Tensor:
        return step.task.backbone.encode_image(step.images, self.image_tokens(self.tensors))

    def prompted(self, task: Task, classes: Classes, state: Mapping[str, Tensor]) -> Tensor:
        """(C, d) unit text features of `classes` under learnt tokens."""
        tokens = self.text_tokens(state)
        return self.prompts(task, classes).encode(tokens.pop(0), tokens)

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        return PromptedClassifier(self, task, task.classes, state, measured)


@dataclass
class PromptedClassifier(Classifier):
    """logits = τ f·t_c of both prompted encoders; with other names the tokens stay."""

    method: DeepPrompts
    task: Task
    classes: Classes
    learnt: Mapping[str, Tensor]
    measured: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def __post_init__(self) -> None:
        self.trainable = sum(tensor.numel() for tensor in self.learnt.values())
        self.text = self.method.prompted(self.task, self.classes, self.learnt)
        self.tokens = self.method.image_tokens(self.learnt)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        backbone = self.task.backbone
        features = backbone.encode_image(batch.images, self.tokens)
        return zero_shot_logits(features, self.text, backbone.logit_scale)

    def rebind(self, classes: Classes) -> Classifier:
        return PromptedClassifier(self.method, self.task, classes, self.learnt)

    def state(self) -> dict[str, Tensor]:
        return dict(self.learnt)

    def details(self) -> dict[str, float]:
        return self.measured
