"""The low-rank family: linears of frozen encoders updated beside their weights.

A method here is one `Update` and, where its paper has more, a hook. Protocol: CLIP-LoRA (Zanella &
Ben Ayed, CVPRW 2024).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from harness.methods.config import AtLeastOne, ProperShare, require
from harness.methods.encoders import EncoderConfig, EncoderTrained
from harness.methods.low_rank.classifier import LowRankClassifier, deltas_of, state_of
from harness.methods.low_rank.dropout import Dropout
from harness.methods.low_rank.spectra import leakage
from harness.methods.low_rank.update import Update
from harness.methods.step import Step
from harness.task import Classifier, NotApplicable, Task

Site = Literal["q", "k", "v", "out", "up", "down"]


@dataclass(frozen=True)
class LowRankConfig(EncoderConfig):
    """CLIP-LoRA's training, shared by the family."""

    rank: AtLeastOne = 2
    encoders: Literal["both", "vision", "text"] = "both"
    sites: tuple[Site, ...] = ("q", "k", "v")
    """Linears of every block: those of attention, and `up` and `down` of its MLP."""
    dropout: ProperShare = 0.25
    """On the branch's input, in training only."""

    quick: ClassVar[Mapping[str, Any]] = {"steps": 40, "lr": 3e-2}
    identity: ClassVar[Mapping[str, Any]] = {"steps": 0}

    def __post_init__(self) -> None:
        require(bool(self.sites), self, "sites", "one or more of q, k, v, out, up, down")
        frozen_images = not self.views or self.encoders == "text"
        require(
            frozen_images, self, "views", '0 unless encoders = "text": adapted image features move'
        )


class LowRank(EncoderTrained):
    """Trains the updates of all sites together, through both encoders."""

    search_space = {"lr": (5e-5, 2e-4, 8e-4, 3.2e-3)}  # noqa: RUF012

    updates: dict[str, Update]
    """By site, in the backbone's order, from `start` on."""

    def prepare(self, task: Task, linears: Mapping[str, nn.Linear]) -> None:
        """What a method wants to know before its updates are made, such as the linears' inputs
        (see `methods.data_pass`)."""

    @abstractmethod
    def update(self, site: str, linear: nn.Linear, generator: torch.Generator) -> Update | None:
        """A fresh update of a frozen linear, its tensors on the linear's device; None for none."""

    def protected(self, linear: nn.Linear) -> int:
        """k: how many leading singular directions `subspace_leakage` is measured against; here
        half of the weight's rank, Comp-LoRA's default."""
        return int(min(linear.weight.shape) / 2 + 0.5)

    def adapts(self, tower: str) -> bool:
        return self.config.encoders in ("both", tower)

    def start(self, task: Task) -> dict[str, Tensor]:
        linears = self._linears(task)
        self.prepare(task, linears)
        made = {site: self.update(site, w, task.generator) for site, w in linears.items()}
        self.updates = {site: update for site, update in made.items() if update is not None}
        seed = int(torch.randint(2**62, (), generator=task.generator))
        self.noise = torch.Generator(task.device).manual_seed(seed)
        self.dropout = Dropout(self.config.dropout, self.noise)
        return {
            f"{site}.{name}": tensor
            for site, update in self.updates.items()
            for name, tensor in update.tensors.items()
        }

    def during(self, step: Step) -> AbstractContextManager[Any]:
        bound = {site: update.bind(self.dropout) for site, update in self.updates.items()}
        return step.task.backbone.intercept(bound)

    def learnt(self) -> dict[str, Tensor]:
        return state_of({site: update.learnt() for site, update in self.updates.items()})

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        self.tensors = self.start(task)
        return super().restore(task, state)

    def classifier(
        self, task: Task, state: Mapping[str, Tensor], measured: dict[str, float]
    ) -> Classifier:
        deltas, linears = deltas_of(state), task.backbone.sites
        changes = {linears[site]: d.change(linears[site].weight) for site, d in deltas.items()}
        shares = leakage(changes, {linear: self.protected(linear) for linear in changes})
        trainable = sum(tensor.numel() for tensor in self.tensors.values())
        return LowRankClassifier(
            task.backbone, task.classes, deltas, trainable, {**measured, **shares}
        )

    def _linears(self, task: Task) -> dict[str, nn.Linear]:
        """The chosen sites, in the backbone's order."""
        chosen = {
            site: linear
            for site, linear in task.backbone.sites.items()
            if self.adapts(site.partition(".")[0]) and site.rpartition(".")[2] in self.config.sites
        }
        for tower in ("vision", "text"):
            if self.adapts(tower) and not any(site.startswith(tower) for site in chosen):
                raise NotApplicable(
                    f"{self.name}: {task.backbone.name} has no linears to adapt in its {tower} "
                    "encoder; choose the other with `encoders`"
                )
        return chosen
