"""CoOp: Learning to Prompt for Vision-Language Models (Zhou et al., IJCV 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import SGD, Optimizer

from harness.methods.checks import at_least, not_negative, one_of, positive
from harness.methods.feature_method import FeatureMethod, Training
from harness.methods.heads.text import TextClassifier
from harness.methods.optim import coop_budget
from harness.task import Classes, Classifier, NotApplicable, Task, Work, zero_shot_logits


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's and the released code's."""

    context_tokens: int = 16
    class_token_position: Literal["end", "middle", "front"] = "end"
    class_specific: bool = False
    init: str = ""
    """Words that the context starts from, such as "a photo of a"; they then set its length."""
    lr: float = 0.002
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_lr: float = 1e-5
    batch: int = 32
    epochs: int | None = None
    """None: by shots, 50 (1), 100 (2, 4) or 200 (8, 16)."""
    steps: int | None = None
    """A budget in steps, in place of `epochs`."""
    views: int = 0
    """0: fresh augmentation at every step. V > 0: one of V cached augmented views."""

    quick: ClassVar[Mapping[str, Any]] = {
        "context_tokens": 4,
        "class_specific": True,
        "steps": 100,
        "lr": 0.01,
        "views": 2,
    }
    identity: ClassVar[Mapping[str, Any]] = {"init": "a photo of a", "steps": 0}

    def __post_init__(self) -> None:
        at_least(1, self, "context_tokens", "batch")
        at_least(0, self, "epochs", "steps", "views")
        positive(self, "lr", "warmup_lr")
        not_negative(self, "momentum", "weight_decay")
        one_of(self, "class_token_position", ("end", "middle", "front"))


class Prompts:
    """Token ids of "[context] name." per class; entry −1−j stands for row j of the context.

    Position "end": SOT ctx name . EOT; "front": SOT name ctx . EOT; "middle": the name after
    the first half of the context. A class-specific context has its M rows class by class.

    Raises:
        NotApplicable: a prompt is longer than the backbone's context length.
    """

    def __init__(self, task: Task, config: Config, classes: Classes) -> None:
        self.backbone = task.backbone
        tokens = config.context_tokens
        if config.init:
            tokens = len(self.backbone.tokenize(config.init))
        before = {"end": tokens, "middle": tokens // 2, "front": 0}[config.class_token_position]
        self.ids = []
        for index, name in enumerate(name.replace("_", " ") for name in classes.names):
            start = index * tokens if config.class_specific else 0
            context = [-1 - row for row in range(start, start + tokens)]
            sentence, length = self.backbone.tokenize(f"{name}."), len(self.backbone.tokenize(name))
            word, stop = sentence[:length], sentence[length:]
            ids = [*context[:before], *word, *context[before:], *stop]
            if len(ids) + 2 > self.backbone.context_length:
                raise NotApplicable(
                    f"coop: the prompt of {name!r} has {len(ids) + 2} tokens with a context of "
                    f"{tokens}, {self.backbone.name} reads {self.backbone.context_length}: lower "
                    "context_tokens"
                )
            self.ids.append([self.backbone.sot, *ids, self.backbone.eot])

    def encode(self, context: Tensor) -> Tensor:
        """(C, d) unit text features, differentiable in the (J, w) `context`; or of replicas,
        (R, C, d) from (R, J, w)."""
        if context.dim() == 3:
            with sdpa_kernel(SDPBackend.MATH):  # the one attention kernel that takes replicas
                return torch.vmap(self.encode)(context)
        return F.normalize(self.backbone.encode_prompts(self.ids, context), dim=-1)


class CoOpClassifier(TextClassifier):
    """logits = τ f·t_c(context). With other names it keeps its context: CoOp's transfer rule."""

    @torch.no_grad()
    def __init__(
        self, task: Task, config: Config, classes: Classes, context: Tensor, **measured: float
    ) -> None:
        self.task, self.config, self.context = task, config, context
        text = Prompts(task, config, classes).encode(context)
        super().__init__(task.backbone, text, context.numel(), measured)

    def rebind(self, classes: Classes) -> Classifier | None:
        if self.config.class_specific:  # a context per class has no meaning for another class
            return None
        return CoOpClassifier(self.task, self.config, classes, self.context)

    def state(self) -> dict[str, Tensor]:
        return {"context": self.context}


class CoOp(FeatureMethod):
    """min over the context of −log softmax(τ f·t(context))[y]; both towers stay frozen."""

    name = "coop"
    Config = Config
    search_space = {"lr": (2e-4, 2e-3, 2e-2, 2e-1)}  # noqa: RUF012

    def start(self, task: Task) -> dict[str, Tensor]:
        """(J, w) rows ~ N(0, .02²), or the embeddings of `init`; class by class if specific."""
        copies = len(task.classes) if self.config.class_specific else 1
        if self.config.init:
            words = task.backbone.token_embedding(task.backbone.tokenize(self.config.init))
            return {"context": words.repeat(copies, 1).to(task.device)}
        rows = copies * self.config.context_tokens
        noise = torch.randn(rows, task.backbone.context_dim, generator=task.generator)
        return {"context": (0.02 * noise).to(task.device)}

    def scorer(self, task: Task) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
        prompts = Prompts(task, self.config, task.classes)
        scale = task.backbone.logit_scale
        return lambda own, f: zero_shot_logits(f, prompts.encode(own["context"]), scale)

    def optimizer(self, parameters: Sequence[Tensor]) -> Optimizer:
        c = self.config
        return SGD(parameters, c.lr, momentum=c.momentum, weight_decay=c.weight_decay)

    def training(self, images: int, shots: int) -> Training:
        steps, rate = coop_budget(self.config, images, shots)
        return Training(steps, rate, self.config.batch, self.config.views, drop_last=True)

    def work(self, classes: int, images: int, shots: int) -> Work:
        work = super().work(classes, images, shots)
        return replace(work, prompts_trained=work.steps * classes)

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        return CoOpClassifier(task, self.config, task.classes, state["context"], **measured)
