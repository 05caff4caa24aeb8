"""Suite → ordered cells with content ids; and what of a plan is done, failed, stale or to do."""

from __future__ import annotations

import dataclasses
import hashlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness import registry
from harness.augment import AugmentSpec
from harness.backbones.spec import BackboneSpec
from harness.canonical import content_id
from harness.datasets.spec import DatasetSpec
from harness.errors import HarnessError, did_you_mean
from harness.record import SCHEMA, Record
from harness.store import Contents
from harness.suite import MethodEntry, SuiteFile
from harness.yaml_lines import Where

METHODS = "harness.methods"


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
class Variant:
    """A method with one complete configuration."""

    label: str
    reference: str
    name: str
    note: str
    uses_support: bool
    config: dict[str, Any]
    source: str
    search: dict[str, list[Any]] | None


@dataclass(frozen=True)
class Plan:
    """The cells of a suite, in the order they run: grouped by data set, so workers stay warm."""

    suite: SuiteFile
    cells: tuple[Cell, ...]

    def select(self, **only: Sequence[str]) -> Plan:
        """The cells whose label, method, dataset, shots and seed are among the values given."""
        chosen = [
            cell
            for cell in self.cells
            if all(_answers(cell, key, values) for key, values in only.items())
        ]
        return dataclasses.replace(self, cells=tuple(chosen))


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
    variants = list(_variants(suite))
    with _located(suite, ("backbone",)):
        backbone = given.backbone.resolve(suite.path.parent)
        weights = weights_fingerprint(backbone)
    with _located(suite, ("sampler",)):
        samplers = _samplers(suite)
    cells: dict[str, Cell] = {}
    for data, retention in _sets(suite):
        here = {
            "schema": SCHEMA,
            "backbone": {"name": backbone.name, "weights": weights, "precision": given.precision},
            "augment": given.augment.model_dump(mode="json"),
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
        with _located(suite, ("retention", position)):
            held_out.append(_set(spec.resolve(base), given.templates))
    for position, spec in enumerate(given.datasets):
        with _located(suite, ("datasets", position)):
            whole = spec.resolve(base)
            others = [other for other in held_out if other.spec.name != spec.name]
            if given.setting == "base_to_new":
                halves = [_set(_half(whole, half), given.templates) for half in ("base", "new")]
                yield halves[0], [halves[1], *others]
            else:
                yield _set(whole, given.templates, trains=True), others


def _set(spec: DatasetSpec, templates: tuple[str, ...] | None, trains: bool = False) -> _Set:
    from harness.datasets import load_dataset

    data = load_dataset(spec)
    if trains:
        data.items("train")  # a retention set has none, and says so
    return _Set(spec, data.fingerprint, templates or data.templates)


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
        if cell.id in contents.records:
            done.append(cell)
        elif cell.id in contents.failures:
            failed.append(cell)
        elif cell.slot in slots:
            stale.append(cell)
        else:
            new.append(cell)
    return Progress(tuple(done), tuple(failed), tuple(stale), tuple(new))


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
        return {"shots": 0, "seed": 0, "sampler": "none", "protocol": "fixed", "method": method}
    if given.protocol != "fixed":
        method["search"] = variant.search
    return {
        "shots": shots,
        "seed": seed,
        "sampler": sampler,
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
        identity["sampler"],
    )


def _answers(cell: Cell, key: str, values: Sequence[str]) -> bool:
    return str(getattr(cell, key)) in values


class _located:
    """Adds file and line to a `ValueError` raised inside."""

    def __init__(self, suite: SuiteFile, where: Where) -> None:
        self._suite, self._where = suite, where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if isinstance(error, ValueError):
            raise self._suite.error(self._where, str(error)) from None


def _variants(suite: SuiteFile) -> Iterator[Variant]:
    labels: dict[str, Where] = {}
    for position, entry in enumerate(suite.suite.methods):
        where: Where = ("methods", position)
        with _located(suite, where):
            reference = registry.absolute(entry.name, suite.path.parent)
            method = registry.find(METHODS, reference)
            source = registry.source_hash(reference)
        if entry.search is not None:
            _check_keys(suite, (*where, "search"), method.Config, entry.search)
        for label, config in _expand(suite, where, entry, method):
            if label in labels:
                raise suite.error(
                    where, f'two entries are labelled "{label}"; give one of them a `label`'
                )
            labels[label] = where
            yield Variant(
                label, reference, method.name, method.note, method.uses_support, config, source,
                entry.search,
            )  # fmt: skip


def _expand(
    suite: SuiteFile, where: Where, entry: MethodEntry, method: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The labelled, complete configurations of one entry: the product of its lists."""
    _check_keys(suite, (*where, "config"), method.Config, entry.config)
    hints = typing.get_type_hints(method.Config)
    grid = {k: v for k, v in entry.config.items() if _is_grid(v, hints[k])}
    for key, values in grid.items():
        if not values:
            raise suite.error((*where, "config", key), "the grid is empty: list at least one")
    for values in product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        label = entry.label or method.name
        if grid:
            label += "(" + ", ".join(f"{k}={v}" for k, v in chosen.items()) + ")"
        yield label, _complete(suite, (*where, "config"), method.Config, {**entry.config, **chosen})


def _is_grid(value: Any, hint: Any) -> bool:
    """A list is a grid, unless the setting itself is a sequence; then a list of lists is."""
    if not isinstance(value, list):
        return False
    options = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    if any(typing.get_origin(option) in (tuple, list) for option in options):
        return bool(value) and all(isinstance(item, list) for item in value)
    return True


_UNIONS = (typing.Union, types.UnionType)


def _check_keys(suite: SuiteFile, where: Where, config: type[Any], given: Iterable[str]) -> None:
    known = [field.name for field in dataclasses.fields(config)]
    for key in given:
        if key not in known:
            raise suite.error((*where, key), f'unknown setting "{key}"{did_you_mean(key, known)}')


def _complete(
    suite: SuiteFile, where: Where, config: type[Any], given: dict[str, Any]
) -> dict[str, Any]:
    """The whole configuration, defaults filled in, as plain JSON values."""
    try:
        built = TypeAdapter(config).validate_python(given)
    except ValidationError as error:
        problem = error.errors()[0]
        place = tuple(p for p in problem["loc"] if p in given)
        message = str(problem["msg"]).removeprefix("Value error, ")
        if place:
            message += f" (found {given[str(place[0])]!r})"
        raise suite.error((*where, *place), message) from None
    plain = TypeAdapter(config).dump_python(built, mode="json")
    assert isinstance(plain, dict)
    return plain


def build_config(config: type[Any], values: Mapping[str, Any]) -> Any:
    """The Config that `Cell.config` was made from."""
    return TypeAdapter(config).validate_python(dict(values))


def parse_only(words: Sequence[str]) -> dict[str, list[str]]:
    """`["dataset=digits,letters", "shots=4"]` → values by key.

    Raises:
        HarnessError: no "=", or an unknown key.
    """
    known = ("label", "method", "dataset", "shots", "seed")
    only: dict[str, list[str]] = {}
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not values:
            raise HarnessError(f'--only {word}: write key=value, e.g. "dataset=digits"')
        if key not in known:
            raise HarnessError(f'--only {word}: unknown key "{key}"{did_you_mean(key, known)}')
        only.setdefault(key, []).extend(values.split(","))
    return only


def store_root(results: str | None) -> Path:
    """Where results go: the folder given, else `results/` in the working folder."""
    return Path(results) if results else Path("results")
