"""Settings: for each data set of a suite, the stages of adaptation and what each is tested on.

`all_classes` is one stage; `base_to_new` one stage with two test sets; a sequence of tasks would be
several, each of which starts from the classifier of the one before (`Task.previous`). A new setting
is one more function in `SETTINGS`; the suite's retention sets are added to every stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.datasets.halves import Half, half_spec
from harness.datasets.spec import DatasetSpec


@dataclass(frozen=True)
class Part:
    """A data set of a suite, or half of its classes (see `harness.datasets.halves`)."""

    whole: DatasetSpec
    half: Half | None = None

    @property
    def name(self) -> str:
        """How records and reports call it."""
        return self.of(self.whole).name

    def of(self, whole: DatasetSpec) -> DatasetSpec:
        """The spec of this part, `whole` being that of the data set with its paths resolved."""
        return whole if self.half is None else half_spec(whole, self.half)


@dataclass(frozen=True)
class Stage:
    """What to adapt to, and tested on its own test split; and what else to test on, in order."""

    adapt: Part
    held_out: tuple[Part, ...] = ()


Setting = Callable[[DatasetSpec], tuple[Stage, ...]]
"""From a data set of a suite to the stages of its cells."""


def all_classes(data: DatasetSpec) -> tuple[Stage, ...]:
    """Adapt to every class, and be tested on them."""
    return (Stage(Part(data)),)


def base_to_new(data: DatasetSpec) -> tuple[Stage, ...]:
    """Adapt to the first half of the classes, and be tested on either half (CoCoOp's protocol)."""
    return (Stage(Part(data, "base"), (Part(data, "new"),)),)


SETTINGS: dict[str, Setting] = {"all_classes": all_classes, "base_to_new": base_to_new}
