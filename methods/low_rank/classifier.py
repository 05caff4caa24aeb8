"""The classifier that low-rank updates make."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.methods.low_rank.update import Delta
from harness.task import Batch, Classes, Classifier, zero_shot_logits


@dataclass
class LowRankClassifier(Classifier):
    """logits = τ f·t_c, f and t_c from the encoders with W′ for W at the sites of `deltas`.

    With other names the text is encoded again, by the adapted text encoder.
    """

    backbone: Backbone
    classes: Classes
    deltas: Mapping[str, Delta]
    trainable: int
    measured: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def __post_init__(self) -> None:
        self.towers = {site.partition(".")[0] for site in self.deltas}
        sites = self.backbone.sites
        self.weights = {site: d.updated(sites[site].weight) for site, d in self.deltas.items()}
        with self.adapted():
            self.text = self.backbone.text_features(self.classes)

    def adapted(self) -> AbstractContextManager[None]:
        """The backbone with W′ for W, inside a `with` block."""
        return self.backbone.substitute(self.weights)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        if "vision" in self.towers:
            with self.adapted():
                features = self.backbone.encode_image(batch.images)
        else:
            features = batch.features
        return zero_shot_logits(features, self.text, self.backbone.logit_scale)

    def rebind(self, classes: Classes) -> Classifier:
        return LowRankClassifier(self.backbone, classes, self.deltas, self.trainable)

    def state(self) -> dict[str, Tensor]:
        """`vision.0.q.up` and `vision.0.q.down`, …: factors of ΔW, whatever they were made of."""
        return state_of(self.deltas)

    def details(self) -> dict[str, float]:
        return self.measured


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
