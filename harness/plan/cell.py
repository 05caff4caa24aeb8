"""`Cell`: one run of the grid: what it is, and where what it needs lies; and cells that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backbones.spec import BackboneSpec
from harness.datasets.samplers import SamplerSpec
from harness.datasets.spec import DatasetSpec
from harness.plan.found import Missing
from harness.plan.settings import Stage
from harness.protocols import LabelAccess
from harness.store.identity import Axes, Identity, StageIdentity


@dataclass(frozen=True)
class Places:
    """Where the data sets of a stage lie, in the order of its identity's."""

    adapt: DatasetSpec
    held_out: tuple[DatasetSpec, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One run: what it is (`identity`, without paths) and how to do it (the rest)."""

    label: str
    method: str
    """The method's registered name, or `path/to/file.py:Class` with an absolute path."""
    note: str
    identity: Identity
    backbone_spec: BackboneSpec
    places: tuple[Places, ...]
    """A place for every stage of the identity."""
    sampler_spec: SamplerSpec | None
    """Where its sampler lies, paths absolute; None without a draw."""
    measures: tuple[str, ...]
    """Where the suite's own measures lie, in the order of the identity's."""
    keep_logits: bool
    classes: int
    scored: int
    """Images of the test set and of all held-out sets, for estimates of time."""

    @property
    def id(self) -> str:
        """The identity's: no device, worker count, path or label is in it."""
        return self.identity.id

    @property
    def config(self) -> Mapping[str, Any]:
        return self.identity.method.config

    @property
    def search(self) -> Mapping[str, Sequence[Any]] | None:
        return self.identity.method.search

    @property
    def dataset_spec(self) -> DatasetSpec:
        """Where the data set lies that the last stage adapts to."""
        return self.places[-1].adapt

    @property
    def dataset(self) -> str:
        return self.identity.data.name

    @property
    def whole(self) -> str:
        """The data set, or the one that it is half of."""
        return self.identity.data.whole or self.dataset

    @property
    def half(self) -> str | None:
        """ "base" where the cell adapts to the base classes of its data set."""
        return self.identity.data.half

    @property
    def backbone(self) -> str:
        return self.identity.backbone.name

    @property
    def templates(self) -> tuple[str, ...]:
        return self.identity.data.templates

    @property
    def shots(self) -> int:
        return self.identity.shots

    @property
    def seed(self) -> int:
        return self.identity.seed

    @property
    def sampler(self) -> str:
        """Its name, and its options where it has some."""
        options = (self.identity.draw and self.identity.draw.options) or {}
        shown = ", ".join(f"{key}={value}" for key, value in options.items())
        return f"{self.identity.sampler}({shown})" if shown else self.identity.sampler

    @property
    def protocol(self) -> str:
        return self.identity.protocol

    @property
    def access(self) -> LabelAccess:
        """Which labels its method sees."""
        return self.identity.access

    @property
    def slot(self) -> tuple[Any, ...]:
        """Where the cell stands in the grid: what a user would call the same cell."""
        return slot_of(self.label, self.identity)

    def __str__(self) -> str:
        where = f" shots={self.shots} seed={self.seed}" if self.shots else ""
        return f"{self.label} on {self.dataset}{where}"


@dataclass(frozen=True)
class Waiting:
    """A cell that cannot be run on this machine yet: something it needs is not here."""

    label: str
    method: str
    backbone: str
    stages: tuple[Stage, ...]
    identity: Axes
    """What of its identity is known without that. It has no id."""
    needs: tuple[Missing, ...]

    @property
    def dataset(self) -> str:
        return self.stages[-1].adapt.name

    @property
    def shots(self) -> int:
        return self.identity.shots

    @property
    def seed(self) -> int:
        return self.identity.seed


def slot_of(label: str, identity: Identity) -> tuple[Any, ...]:
    """Where a cell stands in the grid, told from its label and identity."""
    return (
        label,
        identity.method.name,
        identity.backbone.name,
        identity.shots,
        identity.seed,
        identity.protocol,
        identity.sampler,
        *map(names_of, identity.stages),
    )


def same_settings(one: Identity, other: Identity) -> bool:
    """Whether two cells differ only in what lies beneath what a user chooses: sources, weights and
    the contents of data sets and draws."""
    return _settings(one) == _settings(other)


def _settings(identity: Identity) -> tuple[Any, ...]:
    return (
        identity.method.config,
        identity.method.search,
        identity.augment,
        identity.backbone.precision,
        identity.draw and identity.draw.options,
        *(
            data.templates
            for stage in identity.stages
            for data in (stage.adapt, *(one.data for one in stage.held_out))
        ),
    )


def names_of(stage: StageIdentity) -> tuple[str, ...]:
    """What a stage adapts to and is tested on, by name."""
    return (stage.adapt.name, *(one.data.name for one in stage.held_out))
