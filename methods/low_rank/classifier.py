"""The classifier that low-rank updates make."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.methods.encoders import AdaptedClassifier
from harness.methods.low_rank.update import Delta
from harness.task import Classes, Classifier


@dataclass
class LowRankClassifier(AdaptedClassifier):
    """logits = τ f·t_c of the encoders with W′ for W at the sites of `deltas`."""

    backbone: Backbone
    classes: Classes
    deltas: Mapping[str, Delta]
    trainable: int
    measured: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def __post_init__(self) -> None:
        sites = self.backbone.sites
        self.weights = {site: d.updated(sites[site].weight) for site, d in self.deltas.items()}
        self.read(self.deltas)

    def adapted(self) -> AbstractContextManager[None]:
        return self.backbone.substitute(self.weights)

    def rebind(self, classes: Classes) -> Classifier:
        return LowRankClassifier(self.backbone, classes, self.deltas, self.trainable)

    def state(self) -> dict[str, Tensor]:
        """`vision.0.q.up` and `vision.0.q.down`, …: factors of ΔW, whatever they were made of."""
        return state_of(self.deltas)


def state_of(deltas: Mapping[str, Delta]) -> dict[str, Tensor]:
    """The tensors of deltas by site, as `{site}.{name}`."""
    return {f"{site}.{k}": t for site, delta in deltas.items() for k, t in delta.state().items()}


def deltas_of(state: Mapping[str, Tensor]) -> dict[str, Delta]:
    """The deltas that `state_of` names, sites in the order of their first tensor."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        site, _, part = name.rpartition(".")
        parts.setdefault(site, {})[part] = tensor
    return {site: Delta(**tensors) for site, tensors in parts.items()}
