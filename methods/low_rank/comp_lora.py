"""Comp-LoRA (Wang et al., 2025, arXiv 2501.15040): LoRA outside the principal subspace.

A re-derivation: no code was published, and the paper's k is not known to us. The update is a
re-parametrisation, never a projected gradient: Adam's element-wise steps leave a subspace that
only its gradient was projected to. The projector form is OPLoRA's (arXiv 2510.13003).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from harness.methods.config import NotNegative, require
from harness.methods.initial import kaiming_uniform
from harness.methods.low_rank.family import LowRank
from harness.methods.low_rank.lora import Config as LoRAConfig
from harness.methods.low_rank.lora import LoRAUpdate
from harness.methods.low_rank.spectra import leading, spectrum
from harness.methods.low_rank.update import Update


@dataclass(frozen=True)
class Config(LoRAConfig):
    """CLIP-LoRA's training. k is a choice of ours: half of each weight's rank."""

    keep: NotNegative = 0.5
    """How much of a weight is protected, in the unit of `keep_as`."""
    keep_as: Literal["ratio", "count", "energy"] = "ratio"
    """A share of the rank, a number k, or a share of the spectral energy Σσ²."""
    sides: Literal["both", "input", "output"] = "both"
    form: Literal["reduced", "projector"] = "reduced"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_as == "count":
            require(self.keep == int(self.keep), self, "keep", "a whole number: keep_as = 'count'")
        else:
            require(self.keep < 1, self, "keep", f"a share below 1: keep_as = {self.keep_as!r}")


class ReducedUpdate(LoRAUpdate):
    """ΔW = s·U_c B A V_cᵀ, U_c and V_c all singular vectors of W after the leading k.

    A: (r, in−k), B: (out−k, r) zero. A side that is not protected keeps all its coordinates.
    """

    def __init__(self, w: nn.Linear, k: int, config: Config, generator: torch.Generator) -> None:
        basis, (rows, columns) = spectrum(w), w.weight.shape
        self.u = basis.u[:, k:] if config.sides != "input" else None
        self.v = basis.v[:, k:] if config.sides != "output" else None
        free_rows = rows if self.u is None else rows - k
        free_columns = columns if self.v is None else columns - k
        a = kaiming_uniform(config.rank, free_columns, generator).to(w.weight.device)
        super().__init__(a, free_rows, config.scale)

    def factors(self) -> tuple[Tensor, Tensor]:
        up, down = super().factors()
        return up if self.u is None else self.u @ up, down if self.v is None else down @ self.v.T


class ProjectorUpdate(LoRAUpdate):
    """ΔW = s·(I − U_k U_kᵀ) B A (I − V_k V_kᵀ), A and B of LoRA's shapes."""

    def __init__(self, w: nn.Linear, k: int, config: Config, generator: torch.Generator) -> None:
        basis, (rows, columns) = spectrum(w), w.weight.shape
        a = kaiming_uniform(config.rank, columns, generator).to(w.weight.device)
        super().__init__(a, rows, config.scale)
        self.u = basis.u[:, : k if config.sides != "input" else 0]
        self.v = basis.v[:, : k if config.sides != "output" else 0]

    def factors(self) -> tuple[Tensor, Tensor]:
        up, down = super().factors()
        return up - self.u @ (self.u.T @ up), down - (down @ self.v) @ self.v.T


class CompLoRA(LowRank):
    """LoRA whose update cannot reach the k leading singular directions of the frozen weight.

    The projections are folded into thin factors once per step; dropout acts on the branch's
    input, before them, so a step costs what LoRA's costs. Leakage is measured at the method's k.
    """

    name = "comp_lora"
    paper = "Wang et al., arXiv 2025"
    Config = Config
    note = "re-derivation"

    def update(self, site: str, linear: nn.Linear, generator: torch.Generator) -> Update | None:
        form: type[ReducedUpdate | ProjectorUpdate]
        form = ReducedUpdate if self.config.form == "reduced" else ProjectorUpdate
        return form(linear, self.protected(linear), self.config, generator)

    def protected(self, linear: nn.Linear) -> int:
        sigma = spectrum(linear).sigma
        k = leading(sigma, self.config.keep, self.config.keep_as)
        if k >= len(sigma):
            raise ValueError(
                f"comp_lora: keep = {self.config.keep:g} ({self.config.keep_as}) protects all "
                f"{len(sigma)} directions of a weight; nothing is left to train: lower keep"
            )
        return k
