"""EVA: Parameter Efficient Fine-tuning via Explained Variance Adaptation (Paischer et al., NeurIPS
2025, arXiv 2410.07170).

A starts in the principal directions of what goes into its linear, and linears whose inputs are
told by few directions give their ranks to others. Deviations: the covariance of the whole support
set is decomposed exactly, where the release runs an incremental PCA until its directions settle;
each encoder has a rank budget of its own, since class prompts are few tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pydantic.dataclasses
import torch
from pydantic import Field
from torch import Tensor, nn

from harness.methods.data_pass import data_pass
from harness.methods.low_rank.lora import Config as LoRAConfig
from harness.methods.low_rank.lora import LoRA, LoRAUpdate
from harness.methods.low_rank.update import Update
from harness.task import Task

ABSENT = 1e-6
"""Share of the variance below which a direction is rounding: few tokens span few directions."""


@pydantic.dataclasses.dataclass(frozen=True)
class Config(LoRAConfig):
    """CLIP-LoRA's training with the paper's ρ."""

    rho: Annotated[float, Field(strict=True, ge=1)] = 2.0
    """ρ: no linear has a rank above ρ times `rank`; 1 gives every linear `rank`."""


@dataclass
class Moments:
    """Weighted sums over the inputs x of a linear: Σw, Σwx (in,), Σw xxᵀ (in, in)."""

    count: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def none(cls, width: int, device: torch.device) -> Moments:
        """Of no input yet."""
        how: dict[str, Any] = {"dtype": torch.float64, "device": device}
        return cls(*(torch.zeros(size, **how) for size in ((), (width,), (width, width))))

    def add(self, x: Tensor, weights: Tensor) -> None:
        """Take in x (tokens, in), each counting `weights` (tokens,) times."""
        x, weights = x.double(), weights.double()
        self.count += weights.sum()
        self.first += weights @ x
        self.second += x.T @ (weights[:, None] * x)

    def components(self, most: int) -> tuple[Tensor, Tensor]:
        """Explained shares of the centred variance, descending, and unit directions (n, in)."""
        mean = self.first / self.count
        variances, directions = torch.linalg.eigh(self.second / self.count - mean.outer(mean))
        shares = variances.flip(0)[:most] / variances.sum()
        return shares, directions.flip(1)[:, :most].T


def redistributed(shares: Mapping[str, Tensor], budget: int) -> dict[str, int]:
    """Ranks: how many of each site's shares are among the `budget` largest of all."""
    pooled = [(float(share), site) for site, own in shares.items() for share in own]
    best = sorted(pooled, key=lambda entry: -entry[0])[:budget]
    return {site: sum(other == site and share > ABSENT for share, other in best) for site in shares}


class EVA(LoRA):
    """LoRA from the inputs' principal directions, ranks where they explain most."""

    name = "eva"
    paper = "Paischer et al., NeurIPS 2025"
    Config: ClassVar[type[Any]] = Config

    def prepare(self, task: Task, linears: Mapping[str, nn.Linear]) -> None:
        seen = {
            site: Moments.none(linear.in_features, task.device) for site, linear in linears.items()
        }
        data_pass(task, linears, lambda site, x, weights: seen[site].add(x, weights))
        most = round(self.config.rank * self.config.rho)
        found = {site: moments.components(most) for site, moments in seen.items()}
        self.starts: dict[str, Tensor] = {}
        for tower in ("vision", "text"):
            shares = {s: share for s, (share, _) in found.items() if s.startswith(tower)}
            for site, rank in redistributed(shares, self.config.rank * len(shares)).items():
                self.starts[site] = found[site][1][:rank]

    def update(self, site: str, linear: nn.Linear, generator: torch.Generator) -> Update | None:
        start = self.starts[site].to(linear.weight)
        return LoRAUpdate(start, linear.out_features, self.config.scale) if len(start) else None
