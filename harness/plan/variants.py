"""The methods of a suite, each with one complete configuration."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from harness import registry
from harness.canonical import canonical
from harness.errors import did_you_mean
from harness.plan.methods import find_method, method_source
from harness.plan.suite import MethodEntry, SuiteFile, located
from harness.wording import Schema, Where, explain


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


def variants_of(suite: SuiteFile) -> list[Variant]:
    """All variants of a suite's methods, in its order.

    Raises:
        HarnessError: an unknown or broken method, a setting that it does not have or that has the
            wrong type, an empty grid, a label or a configuration that stands twice; with the line.
    """
    found = list(_variants(suite))
    labels, reference = [variant.label for variant in found], suite.suite.reference
    if reference is not None and reference not in labels:
        hint = did_you_mean(reference, labels)
        raise suite.error(("reference",), f'no row is labelled "{reference}"{hint}')
    return found


def _variants(suite: SuiteFile) -> Iterator[Variant]:
    configs: dict[str, str] = {}
    labels: dict[str, Where] = {}
    for position, entry in enumerate(suite.suite.methods):
        where: Where = ("methods", position)
        with located(suite, where):
            reference = registry.absolute(entry.name, suite.path.parent)
            method: Any = find_method(reference)
            source = method_source(reference)
        if entry.search is not None:
            if not suite.suite.access.searches:
                raise suite.error((*where, "search"), "only under protocol: val_search or oracle")
            _check_search(suite, (*where, "search"), method.Config, entry)
        for label, config in _expand(suite, where, entry, method):
            if label in labels:
                raise suite.error(
                    where, f'two entries are labelled "{label}"; give one of them a `label`'
                )
            labels[label] = where
            twin = configs.setdefault(canonical([reference, config, entry.search]), label)
            if twin != label:
                raise suite.error(where, f'"{label}" has the same configuration as "{twin}"')
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


def complete(
    suite: SuiteFile, where: Where, config: type[Any], given: dict[str, Any]
) -> dict[str, Any]:
    """What a suite gives of a frozen dataclass, defaults filled in, as plain JSON values.

    Raises:
        HarnessError: an unknown key or a value of the wrong type; with its line.
    """
    _check_keys(suite, where, config, given)
    return _complete(suite, where, config, given)


def _check_keys(suite: SuiteFile, where: Where, config: type[Any], given: Iterable[str]) -> None:
    known = [field.name for field in dataclasses.fields(config)]
    for key in given:
        if key not in known:
            raise suite.error((*where, key), f'unknown setting "{key}"{did_you_mean(key, known)}')


def _check_search(suite: SuiteFile, where: Where, config: type[Any], entry: MethodEntry) -> None:
    """Every candidate value is one that the Config takes."""
    space = entry.search or {}
    _check_keys(suite, where, config, space)
    scalars = {k: v for k, v in entry.config.items() if not isinstance(v, list)}
    for key, values in space.items():
        if not values:
            raise suite.error((*where, key), "no candidates: list at least one")
        for value in values:
            _complete(suite, where, config, {**scalars, key: value})


def _complete(
    suite: SuiteFile, where: Where, config: type[Any], given: dict[str, Any]
) -> dict[str, Any]:
    """The whole configuration, defaults filled in, as plain JSON values."""
    try:
        # As JSON, strictly: a list for a tuple, but no `true` or "3" for a number.
        built = _adapter(config).validate_json(json.dumps(given, default=str), strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        raise suite.error((*where, *problem["loc"]), explain(problem, _schema(config))) from None
    plain = _adapter(config).dump_python(built, mode="json")
    assert isinstance(plain, dict)
    try:
        canonical(plain)
    except ValueError:
        raise suite.error(where, "infinity and NaN are not settings; write a number") from None
    return plain


def build_config(config: type[Any], values: Mapping[str, Any]) -> Any:
    """The Config that `Cell.config` was made from."""
    return _adapter(config).validate_python(dict(values))


def _schema(config: type[Any]) -> Schema | None:
    try:
        return _adapter(config).json_schema()
    except PydanticInvalidForJsonSchema:
        return None  # a third party's field of a type that JSON does not have


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(config: type[Any]) -> TypeAdapter[Any]:
    """Made once per class: that takes a millisecond, which an estimate would pay per cell."""
    if config not in _ADAPTERS:
        _ADAPTERS[config] = TypeAdapter(config)
    return _ADAPTERS[config]
