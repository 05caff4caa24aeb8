"""KgCoOp: Visual-Language Prompt Tuning with Knowledge-guided Context (Yao et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass
from torch import Tensor

from harness.methods.config import AtLeastOne, Count, NotNegative
from harness.methods.prompts.coop import Config as CoOpConfig
from harness.methods.prompts.coop import CoOp
from harness.methods.step import Step


@dataclass(frozen=True)
class Config(CoOpConfig):
    """The released code's."""

    init: str = "a photo of a"
    batch: AtLeastOne = 128
    epochs: Count | None = 100
    weight: NotNegative = 8.0
    """λ, of the distance from the frozen text features."""

    quick: ClassVar[Mapping[str, Any]] = {**CoOpConfig.quick, "weight": 0.0}
    identity: ClassVar[Mapping[str, Any]] = {"steps": 0}


class KgCoOp(CoOp):
    """CoOp whose text features are held near the frozen ones: + λ·(1 − mean_c t_c(context)·t_c)."""

    name = "kgcoop"
    paper = "Yao et al., CVPR 2023"
    Config: ClassVar[type[Any]] = Config

    def loss(self, step: Step) -> Tensor:
        weight: float = self.config.weight
        similarity = (step.text * step.frozen.text).sum(-1).mean()
        return super().loss(step) + weight * (1 - similarity)
