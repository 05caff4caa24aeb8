"""CoOp: Learning to Prompt for Vision-Language Models (Zhou et al., IJCV 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from harness.methods.config import AtLeastOne
from harness.methods.dassl import DasslConfig, DasslTrained
from harness.methods.prompts.family import Prompts
from harness.methods.step import Step
from harness.methods.text_classifier import TextClassifier
from harness.task import Classes, Classifier, Task


@dataclass(frozen=True)
class Config(DasslConfig):
    """Defaults are the paper's and the released code's."""

    context_tokens: AtLeastOne = 16
    class_token_position: Literal["end", "middle", "front"] = "end"
    class_specific: bool = False
    init: str = ""
    """Words that the context starts from, such as "a photo of a"; they then set its length."""

    quick: ClassVar[Mapping[str, Any]] = {
        "context_tokens": 4,
        "class_specific": True,
        "steps": 100,
        "lr": 0.01,
        "views": 2,
    }
    identity: ClassVar[Mapping[str, Any]] = {"init": "a photo of a", "steps": 0}


class CoOpClassifier(TextClassifier):
    """logits = τ f·t_c(context). With other names it keeps its context: CoOp's transfer rule."""

    @torch.no_grad()
    def __init__(
        self, method: CoOp, task: Task, classes: Classes, context: Tensor, **measured: float
    ) -> None:
        self.method, self.task, self.context = method, task, context
        text = method.prompts(task, classes).encode(context)
        super().__init__(task.backbone, text, context.numel(), measured)

    def rebind(self, classes: Classes) -> Classifier | None:
        if self.method.config.class_specific:  # a context per class has no meaning for another
            return None
        return CoOpClassifier(self.method, self.task, classes, self.context)

    def state(self) -> dict[str, Tensor]:
        return {"context": self.context}


class CoOp(DasslTrained):
    """min over the context of −log softmax(τ f·t(context))[y]; both towers stay frozen."""

    name = "coop"
    paper = "Zhou et al., IJCV 2022"
    transfer = "kept"
    Config: ClassVar[type[Any]] = Config
    search_space = {"lr": (2e-4, 2e-3, 2e-2, 2e-1)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        """(J, w) rows ~ N(0, .02²), or the embeddings of `init`; class by class if specific."""
        self._prompts = self.prompts(task, task.classes)
        c, backbone = self.config, task.backbone
        copies = len(task.classes) if c.class_specific else 1
        if c.init:
            words = backbone.token_embedding(backbone.tokenize(c.init))
            return {"context": words.repeat(copies, 1).to(task.device)}
        rows = copies * c.context_tokens
        noise = torch.randn(rows, backbone.context_dim, generator=task.generator)
        return {"context": (0.02 * noise).to(task.device)}

    def prompts(self, task: Task, classes: Classes) -> Prompts:
        """Prompts of other names under the same context."""
        c, backbone = self.config, task.backbone
        tokens = len(backbone.tokenize(c.init)) if c.init else c.context_tokens
        return Prompts(backbone, classes, tokens, c.class_token_position, c.class_specific)

    def text_features(self, step: Step) -> Tensor:
        return self._prompts.encode(self.tensors["context"])

    def adapts(self, tower: str) -> bool:
        return tower == "text"

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        return CoOpClassifier(self, task, task.classes, state["context"], **measured)
