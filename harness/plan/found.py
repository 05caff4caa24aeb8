"""What of a suite is on this machine, with its content, and what is missing.

What is not here has no content, so its cells have no id.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.backbones.spec import BackboneSpec
from harness.datasets.columns import columns_of
from harness.datasets.dataset import Dataset
from harness.datasets.spec import DatasetSpec
from harness.plan.settings import Part, Stage
from harness.store.identity import (
    BackboneIdentity,
    DataIdentity,
    HeldOutIdentity,
    StageIdentity,
)
from harness.wording import Where


@dataclass(frozen=True)
class Missing:
    """Something that the suite names rightly and this machine does not have."""

    what: str
    """Such as "data set dtd" or "weights ViT-B-16-quickgelu/openai"."""
    where: Where
    """The first place in the suite that names it."""
    why: str
    remedy: str
    """What to do, in one line."""


@dataclass(frozen=True)
class Found:
    """A part of a data set that is here: where it lies, its content, how its names are prompted."""

    part: Part
    spec: DatasetSpec
    data: Dataset
    templates: tuple[str, ...]

    @property
    def identity(self) -> DataIdentity:
        """What identifies it within a cell."""
        whole = None if self.part.half is None else self.part.whole.name
        return DataIdentity(
            self.spec.name, self.data.fingerprint, self.templates, self.part.half, whole
        )

    def held_out_from(self, adapted: Found) -> HeldOutIdentity:
        """As a held-out set of cells that adapt to `adapted`.

        Where its classes are among those adapted to, every classifier applies to it (see
        `harness.run.transfer`); this decides over numbers, so it is part of the identity.
        """
        shared = columns_of(self.data, adapted.data) is not None
        return HeldOutIdentity(self.identity, "columns" if shared else None)


@dataclass(frozen=True)
class FoundStage:
    """A stage of which everything is here."""

    adapt: Found
    held_out: tuple[Found, ...]

    @property
    def every(self) -> tuple[Found, ...]:
        """Everything that is tested on."""
        return (self.adapt, *self.held_out)

    @property
    def identity(self) -> StageIdentity:
        others = tuple(found.held_out_from(self.adapt) for found in self.held_out)
        return StageIdentity(self.adapt.identity, others)


@dataclass(frozen=True)
class Group:
    """A data set of a suite, as the stages of its cells."""

    asked: tuple[Stage, ...]
    stages: tuple[FoundStage, ...]
    """Empty where something is among `missing`."""
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Inventory:
    """What is here of a suite's needs, and what is not."""

    backbone: BackboneSpec
    model: BackboneIdentity | Missing
    groups: tuple[Group, ...]
    data: tuple[Dataset, ...] = ()
    """The data sets that are here, each whole."""

    def lacking(self, group: Group) -> tuple[Missing, ...]:
        """What the cells of a group need and this machine does not have."""
        weights = (self.model,) if isinstance(self.model, Missing) else ()
        return (*weights, *group.missing)
