"""`FeaturesOnly`: the backbone of data sets that bring features of images and names already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from harness.backbones.backbone import Backbone, Precision
from harness.classes import Classes, FeaturesOnlyError


class FeaturesOnly(Backbone):
    """What is known of a model whose features are all there is: its name, d, and τ.

    Whatever needs an encoder raises `FeaturesOnlyError`, which makes the cell a skipped one.
    """

    has_encoder: ClassVar[bool] = False

    def __init__(
        self,
        *,
        name: str,
        fingerprint: str,
        feature_dim: int,
        logit_scale: float,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.feature_dim = feature_dim
        self.logit_scale = logit_scale
        self.device = torch.device(device)
        self.precision = precision
        self.notes = ("pre-computed features, no encoder",)
        self.sites: Mapping[str, nn.Linear] = {}
        self._told: dict[Classes, Tensor] = {}

    def tell(self, classes: Classes, text: Tensor) -> None:
        """Make known the (C, d) unit text features that a data set brings of its names."""
        self._told[classes] = text

    def text_features(self, classes: Classes) -> Tensor:
        """(C, d) unit text features that a data set brought, a copy.

        Raises:
            FeaturesOnlyError: none brought these names under these templates.
        """
        if classes not in self._told:
            raise FeaturesOnlyError(f"{self.name}: features only, no encoder for other class names")
        return self._told[classes].clone()

    def __getattr__(self, name: str) -> Any:
        """Reached for everything that a whole backbone has and this one has not."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise FeaturesOnlyError(f"{self.__dict__.get('name')}: features only, there is no encoder")
