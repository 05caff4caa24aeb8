"""`Subject`: a method under test; and how a check says that something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.contract.toy import Planted, probe
from harness.task import Classes, Classifier, Method, Task, zero_shot_logits

TOLERANCE = 1e-3
"""Largest difference of two logits that count as equal where rounding may differ."""

LEARNT = 50.0
"""Accuracy in percent on six planted classes that counts as having learnt; chance is 16.7."""


class Broken(Exception):
    """The contract does not hold, for the stated reason."""


class Skip(Exception):
    """A check does not apply, for the stated reason."""


def expect(holds: bool, message: str) -> None:
    """Raise `Broken` unless `holds`."""
    if not holds:
        raise Broken(message)


class Subject:
    """A method under test: its configurations, and a fit that several checks share."""

    def __init__(self, method: type[Method], backbone: Backbone) -> None:
        self.method, self.backbone = method, backbone
        self.probe = probe(backbone)

    def config(self, **overrides: Any) -> Any:
        """The Config's defaults with `overrides`, as far as it has such fields."""
        known = {field.name for field in fields(self.method.Config)}
        return replace(self.method.Config(), **{k: v for k, v in overrides.items() if k in known})

    @property
    def learning(self) -> Any:
        """Enough training to learn the planted signal."""
        return self.config(**{"steps": 50, **getattr(self.method.Config, "quick", {})})

    @property
    def brief(self) -> Any:
        """The defaults for two steps or one epoch: enough wherever only the form matters."""
        return self.config(epochs=1, steps=2)

    @property
    def has_identity(self) -> bool:
        """Whether some configuration is said, or known, to leave the method untrained."""
        return self._untrained is not None

    @property
    def identity(self) -> Any:
        """The configuration under which the method is untrained.

        Raises:
            Skip: the Config declares none and has no length to set to zero.
        """
        if self._untrained is None:
            raise Skip("Config has neither steps nor epochs, and declares no `identity`")
        return self.config(**self._untrained)

    @property
    def _untrained(self) -> Mapping[str, Any] | None:
        declared: Mapping[str, Any] | None = getattr(self.method.Config, "identity", None)
        if declared is not None:
            return declared
        known = [field.name for field in fields(self.method.Config)]
        return next(({name: 0} for name in known if name in ("steps", "epochs")), None)

    def fit(self, config: Any, data: Planted | None = None, **how: Any) -> Classifier:
        """A classifier fitted on the planted task."""
        return self.fit_on((data or Planted(self.backbone)).task(**how), config)

    def fit_on(self, task: Task, config: Any) -> Classifier:
        """A classifier fitted on `task`."""
        found = self.method(config).fit(task)
        kind = type(found).__name__
        expect(isinstance(found, Classifier), f"fit returned {kind}, expected a Classifier")
        return found

    @cached_property
    def fitted(self) -> Classifier:
        """A brief fit."""
        return self.fit(self.brief)

    @torch.no_grad()
    def logits(self, classifier: Classifier) -> Tensor:
        """Logits of the probe images."""
        logits = classifier.logits(self.probe)
        kind = type(logits).__name__
        expect(isinstance(logits, Tensor), f"logits returned {kind}, expected a torch tensor")
        return logits.cpu()

    @torch.no_grad()
    def frozen(self, classes: Classes) -> Tensor:
        """The frozen model's logits of the probe images."""
        text = self.backbone.text_features(classes)
        return zero_shot_logits(self.probe.features, text, self.backbone.logit_scale).cpu()
