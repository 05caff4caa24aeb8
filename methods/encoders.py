"""Training inside of the encoders: what low-rank and weight methods share.

Protocol: CLIP-LoRA's (Zanella & Ben Ayed, CVPRW 2024). Images pass through an adapted image encoder
at every step, and the class prompts through an adapted text encoder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from harness.backbones import Backbone
from harness.methods.config import AtLeastOne, Count, NotNegative, Positive
from harness.methods.schedule import Schedule, cosine, drawn_shots
from harness.methods.step import Step
from harness.methods.training import Trained
from harness.task import Batch, Classes, Classifier, zero_shot_logits


@dataclass(frozen=True)
class EncoderConfig:
    """CLIP-LoRA's training: AdamW, a cosine per step, a budget by shots."""

    lr: Positive = 2e-4
    weight_decay: NotNegative = 1e-2
    floor_lr: NotNegative = 1e-6
    """Where the cosine ends."""
    batch: AtLeastOne = 32
    steps_per_shot: Count = 500
    steps: Count | None = None
    """A budget in steps, in place of `steps_per_shot` × shots drawn."""
    views: Count = 0
    """Only where the image encoder stays frozen: V > 0 trains on V cached augmented views."""


class EncoderTrained(Trained):
    """A method whose Config is an `EncoderConfig`; `adapts` says which encoders it changes."""

    transfer = "kept"

    def schedule(self, classes: int, images: int, shots: int) -> Schedule:
        c = self.config
        steps = c.steps
        if steps is None:
            steps = c.steps_per_shot * drawn_shots(shots, images, classes)
        return Schedule(steps, lambda step: cosine(step, steps, c.lr, c.floor_lr), c.batch, c.views)

    def image_features(self, step: Step) -> Tensor:
        if not self.adapts("vision"):
            return step.frozen.features
        return step.task.backbone.encode_image(step.images)

    def text_features(self, step: Step) -> Tensor:
        task = step.task
        if not self.adapts("text"):
            return task.text_features
        return task.backbone.text_features(task.classes)


class AdaptedClassifier(Classifier):
    """logits = τ f·t_c, f and t_c from the encoders as `adapted` makes them.

    With other names the text is encoded again, by the adapted text encoder. An image encoder that
    was not adapted is not run.
    """

    backbone: Backbone
    classes: Classes
    measured: dict[str, float]

    @abstractmethod
    def adapted(self) -> AbstractContextManager[None]:
        """The backbone as adapted, inside a `with` block."""

    @torch.no_grad()
    def read(self, changed: Iterable[str]) -> None:
        """Encode the class names; `changed` are the sites or parameters that were adapted."""
        self.adapts_images = any(name.startswith("vision.") for name in changed)
        with self.adapted():
            self.text = self.backbone.text_features(self.classes)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        if self.adapts_images:
            with self.adapted():
                features = self.backbone.encode_image(batch.images)
        else:
            features = batch.features
        return zero_shot_logits(features, self.text, self.backbone.logit_scale)

    def details(self) -> dict[str, float]:
        return self.measured
