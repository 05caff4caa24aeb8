"""Flat-LoRA: LoRA in a flat region of the full weights (Li et al., ICML 2025, arXiv 2409.14396).

Every step is taken at weights with a fresh Gaussian perturbation, which grows over the training.
The frozen weights are never written to: the noise stands in their place for the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from harness.methods.config import NotNegative
from harness.methods.low_rank.lora import Config as LoRAConfig
from harness.methods.low_rank.lora import LoRA
from harness.methods.step import Step
from harness.task import Task


@dataclass(frozen=True)
class Config(LoRAConfig):
    """CLIP-LoRA's training with the paper's ρ."""

    rho: NotNegative = 0.05
    """ρ: the noise's norm as a share of the weight's, at the end of the training."""


class FlatLoRA(LoRA):
    """ε_ij ~ N(0, (f_t ρ)²‖W′_i‖²/in) on every adapted W′ = W + sBA, f_t = (1 − cos πt/T)/2.

    Hence E‖ε‖² = (f_t ρ)²‖W′‖². Zero steps, the updates and what is scored are LoRA's.
    """

    name = "flat_lora"
    paper = "Li et al., ICML 2025"
    Config: ClassVar[type[Any]] = Config

    def start(self, task: Task) -> dict[str, Tensor]:
        tensors = super().start(task)
        # A stream of its own, beside dropout's: with ρ = 0 every other draw is LoRA's.
        seed = self.noise.initial_seed() + 1
        self.perturbations = torch.Generator(task.device).manual_seed(seed)
        return tensors

    @torch.no_grad()
    def before_step(self, step: Step) -> None:
        """Draw the step's ε for every adapted weight."""
        strength = self.config.rho * (1 - math.cos(math.pi * step.number / step.total)) / 2
        sites = step.task.backbone.sites
        self.epsilon = {
            f"{site}.weight": self.drawn(sites[site].weight + update.delta(), strength)
            for site, update in self.updates.items()
        }

    def drawn(self, weight: Tensor, strength: float) -> Tensor:
        """(out, in) noise for W′ = `weight`."""
        noise = torch.randn(weight.shape, generator=self.perturbations, device=weight.device)
        norms: Tensor = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
        return strength / math.sqrt(weight.shape[1]) * norms * noise

    @contextmanager
    def during(self, step: Step) -> Iterator[None]:
        with super().during(step), step.task.backbone.shift(self.epsilon):
            yield
