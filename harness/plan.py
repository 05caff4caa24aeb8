"""Suite → ordered cells with content ids; and what of a plan is done, failed, stale or to do."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from harness.augment import AugmentSpec
from harness.backbones.spec import BackboneSpec
from harness.canonical import content_id
from harness.datasets.spec import DatasetSpec
from harness.errors import HarnessError, did_you_mean
from harness.record import SCHEMA, Record
from harness.store import Contents
from harness.suite import Suite, SuiteFile, located
from harness.variants import Variant, variants_of


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
    identity: Mapping[str, Any]
    id: str

    @property
    def dataset(self) -> str:
        return self.dataset_spec.name

    @property
    def backbone(self) -> str:
        return self.backbone_spec.name

    @property
    def slot(self) -> tuple[Any, ...]:
        """Where the cell stands in the grid: what a user would call the same cell."""
        return _slot(self.label, self.identity)

    def __str__(self) -> str:
        where = f" shots={self.shots} seed={self.seed}" if self.shots else ""
        return f"{self.label} on {self.dataset}{where}"


@dataclass(frozen=True)
class Plan:
    """The cells of a suite, in the order they run: grouped by data set, so workers stay warm."""

    suite: SuiteFile
    cells: tuple[Cell, ...]

    def keep(self, wanted: Callable[[Cell], bool]) -> Plan:
        """The plan of the wanted cells only."""
        return dataclasses.replace(self, cells=tuple(filter(wanted, self.cells)))


@dataclass(frozen=True)
class Progress:
    """Which cells of a plan are done, failed, stale (done by older code or config), or new."""

    done: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    stale: tuple[Cell, ...]
    new: tuple[Cell, ...]

    @property
    def to_do(self) -> tuple[Cell, ...]:
        return self.failed + self.stale + self.new


@dataclass(frozen=True)
class _Set:
    """A data set of a plan: where it lies, what it contains, how its names are prompted."""

    spec: DatasetSpec
    fingerprint: str
    templates: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        content = {"name": self.spec.name, "fingerprint": self.fingerprint}
        return {**content, "templates": list(self.templates)}


def make_plan(suite: SuiteFile) -> Plan:
    """Expand a suite into its cells.

    Raises:
        HarnessError: unknown method, data set or backbone, or a bad configuration; with its line.
    """
    from harness.backbones import weights_fingerprint

    given = suite.suite
    variants = variants_of(suite)
    with located(suite, ("backbone",)):
        backbone = given.backbone.resolve(suite.path.parent)
        weights = weights_fingerprint(backbone)
    with located(suite, ("sampler",)):
        samplers = _samplers(suite)
    cells: dict[str, Cell] = {}
    for data, retention in _sets(suite):
        here = {
            "schema": SCHEMA,
            "backbone": {"name": backbone.name, "weights": weights, "precision": given.precision},
            "dataset": {"name": data.spec.name, "fingerprint": data.fingerprint},
            "templates": list(data.templates),
            "retention": [held_out.identity() for held_out in retention],
        }
        for shots, seed, variant in product(given.shots, given.seeds, variants):
            path, sampler = samplers[shots, seed]
            identity = {**here, **_axes(suite, variant, shots, seed, sampler)}
            cell = Cell(
                label=variant.label,
                method=variant.reference,
                note=variant.note,
                config=variant.config,
                search=variant.search,
                backbone_spec=backbone,
                dataset_spec=data.spec,
                retention_specs=tuple(held_out.spec for held_out in retention),
                shots=identity["shots"],
                seed=identity["seed"],
                sampler=path if variant.uses_support else "none",
                protocol=identity["protocol"],
                templates=data.templates,
                precision=given.precision,
                augment=given.augment,
                keep_logits=given.keep_logits,
                identity=identity,
                id=content_id(identity),
            )
            cells.setdefault(cell.id, cell)
    return Plan(suite, tuple(cells.values()))


def _sets(suite: SuiteFile) -> Iterator[tuple[_Set, list[_Set]]]:
    """Every data set to adapt to, with the retention sets of its cells."""
    given, base = suite.suite, suite.path.parent
    held_out = []
    for position, spec in enumerate(given.retention):
        with located(suite, ("retention", position)):
            held_out.append(_set(spec.resolve(base), given))
    # By name: in which order a suite lists them changes no number, so it must change no id.
    in_order = sorted(held_out, key=lambda other: other.spec.name)
    splits = ("train", "val", "test") if given.protocol == "val_search" else ("train", "test")
    for position, spec in enumerate(given.datasets):
        with located(suite, ("datasets", position)):
            whole = spec.resolve(base)
            others = [other for other in in_order if other.spec.name != spec.name]
            if given.setting == "base_to_new":
                base_half = _set(_half(whole, "base"), given, splits)
                yield base_half, [_set(_half(whole, "new"), given), *others]
            else:
                yield _set(whole, given, splits), others


def _set(spec: DatasetSpec, suite: Suite, splits: tuple[str, ...] = ()) -> _Set:
    """A data set to adapt to, with the `splits` that this takes; without them, a retention set."""
    from harness.datasets import load_dataset

    data = load_dataset(spec)
    for split in splits or ("test",):
        data.items(split)  # raises where there is none
    if not splits and not data.has_pixels:
        raise HarnessError(
            f"{spec.name}: pre-computed features cannot serve as a retention set: no encoder can "
            "be adapted and run on them"
        )
    suite.backbone.check_fits(data)
    return _Set(spec, data.fingerprint, suite.templates or data.templates)


def _half(spec: DatasetSpec, half: str) -> DatasetSpec:
    """Half of a data set under a name of its own: `dtd-base`, `dtd-new`."""
    own = {"name": f"{spec.name}-{half}", "half": half}
    return spec.model_copy(update={**own, "uses": spec.uses or (None if spec.kind else spec.name)})


def _samplers(suite: SuiteFile) -> dict[tuple[int, int], tuple[str, str]]:
    """By shots and seed: the sampler to run, paths made absolute, and what identifies it.

    A draw from a file is identified by the file's content, so that editing it makes cells stale.
    """
    from harness.episode import SAMPLERS

    given = suite.suite
    grid = list(product(given.shots, given.seeds))
    if not given.sampler.startswith("file:"):
        if given.sampler not in SAMPLERS:
            hint = did_you_mean(given.sampler, SAMPLERS)
            raise HarnessError(f'unknown sampler "{given.sampler}"{hint}; or use "file:PATH"')
        return {point: (given.sampler, given.sampler) for point in grid}
    found = {}
    for shots, seed in grid:
        name = given.sampler.removeprefix("file:")
        filled = name.replace("{shots}", str(shots)).replace("{seed}", str(seed))
        path = (suite.path.parent / filled).resolve()
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise HarnessError(f"{path}: {error.strerror or error}") from None
        found[shots, seed] = (f"file:{path}", f"file:{content}")
    return found


def progress(plan: Plan, contents: Contents, everything: Iterable[Record] = ()) -> Progress:
    """Sort a plan's cells by what the store holds.

    Args:
        contents: the store's records of exactly these cells.
        everything: all of the store's records, to tell stale cells from new ones.
    """
    slots = {_slot(record.label, record.cell) for record in everything}
    done, failed, stale, new = [], [], [], []
    for cell in plan.cells:
        if cell.id in contents.records and not _lacks_logits(cell, contents):
            done.append(cell)
        elif cell.id in contents.failures:
            failed.append(cell)
        elif cell.slot in slots:
            stale.append(cell)
        else:
            new.append(cell)
    return Progress(tuple(done), tuple(failed), tuple(stale), tuple(new))


def _lacks_logits(cell: Cell, contents: Contents) -> bool:
    """Whether a finished cell must run again because its logits are asked for and were not kept."""
    finished = contents.records[cell.id].status == "ok"
    return cell.keep_logits and finished and cell.id not in contents.logits


def _axes(
    suite: SuiteFile, variant: Variant, shots: int, seed: int, sampler: str
) -> dict[str, Any]:
    """The part of an identity that varies within a data set.

    A method that ignores the support set has one cell per data set, under no draw.
    """
    given = suite.suite
    method: dict[str, Any] = {
        "name": variant.name,
        "config": variant.config,
        "source": variant.source,
    }
    if not variant.uses_support:
        none = {"sampler": "none", "augment": None, "protocol": "fixed"}
        return {"shots": 0, "seed": 0, **none, "method": method}
    if given.protocol != "fixed":
        method["search"] = variant.search
    return {
        "shots": shots,
        "seed": seed,
        "sampler": sampler,
        "augment": given.augment.model_dump(mode="json"),
        "protocol": given.protocol,
        "method": method,
    }


def _slot(label: str, identity: Mapping[str, Any]) -> tuple[Any, ...]:
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
