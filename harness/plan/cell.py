"""`Cell`: one run of the grid, how to do it and what it is; and cells that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backbones.spec import BackboneSpec
from harness.datasets.spec import DatasetSpec
from harness.features.augment import AugmentSpec
from harness.plan.inventory import Missing
from harness.protocols import PROTOCOLS, LabelAccess


@dataclass(frozen=True)
class Cell:
    """One run: how to do it (specs, with paths) and what it is (`identity`, without).

    `id` is the SHA-256 of `identity`: everything that can change the number and nothing else, so
    no device, worker count, path or label.
    """

    label: str
    method: str
    """The method's registered name, or `path/to/file.py:Class` with an absolute path."""
    note: str
    config: Mapping[str, Any]
    search: Mapping[str, Sequence[Any]] | None
    backbone_spec: BackboneSpec
    dataset_spec: DatasetSpec
    retention_specs: tuple[DatasetSpec, ...]
    shots: int
    seed: int
    sampler: str
    protocol: str
    templates: tuple[str, ...]
    precision: str
    augment: AugmentSpec
    keep_logits: bool
    classes: int
    scored: int
    """Images of the test set and of all retention sets, for estimates of time."""
    identity: Mapping[str, Any]
    id: str

    @property
    def dataset(self) -> str:
        return self.dataset_spec.name

    @property
    def backbone(self) -> str:
        return self.backbone_spec.name

    @property
    def access(self) -> LabelAccess:
        """Which labels its method sees."""
        return PROTOCOLS[self.protocol]

    @property
    def half(self) -> str | None:
        """ "base" where the cell adapts to the base classes of its data set."""
        return self.dataset_spec.half

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
    dataset: str
    shots: int
    seed: int
    identity: Mapping[str, Any]
    """What of its identity is known without that. It has no id."""
    needs: tuple[Missing, ...]


def slot_of(label: str, identity: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a cell stands in the grid, told from its label and identity."""
    return (
        label,
        identity["method"]["name"],
        identity["backbone"]["name"],
        identity["dataset"]["name"],
        identity["shots"],
        identity["seed"],
        identity["protocol"],
        identity["sampler"].partition(":")[0],
        *(held_out["name"] for held_out in identity["retention"]),
    )
