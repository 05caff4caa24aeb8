"""Finding measures, by name or as `path/to/file.py:function`, and refusing what is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness import registry
from harness.errors import HarnessError
from harness.measure import Measure
from harness.plan.suite import SuiteFile, located
from harness.source import source_hash
from harness.store.identity import MeasureIdentity

MEASURES = "harness.measures"
"""Entry-point group of measures."""

STANDARD = "harness.run.measures"
"""The module of those that every record carries."""


def find_measure(reference: str, base: Path | None = None) -> Measure:
    """The measure that a name or a `path/to/file.py:function` stands for.

    A plain function is one too; its unit and direction are then not known.

    Raises:
        HarnessError: as `registry.find`; or the object is no function.
    """
    found = registry.find(MEASURES, reference, base)
    if isinstance(found, Measure):
        return found
    if isinstance(found, type) or not (callable(found) and hasattr(found, "__name__")):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise HarnessError(
            f'"{reference}": {what} is not a measure: write a function of a '
            "harness.measure.Scored that returns a number"
        )
    return Measure(found)


def measures_of(suite: SuiteFile) -> list[tuple[str, MeasureIdentity]]:
    """Where the measures that a suite asks for lie, paths made absolute, and their identities.

    Raises:
        HarnessError: an unknown measure, or one that every record carries; with its line.
    """
    found: dict[str, tuple[str, MeasureIdentity]] = {}
    for position, word in enumerate(suite.suite.measures):
        with located(suite, ("measures", position)):
            reference = registry.absolute(word, suite.path.parent)
            name = find_measure(reference).name
            if is_standard(name):
                raise HarnessError(f'every record carries a measure "{name}" already')
            if name in found:
                raise HarnessError(f'two measures are called "{name}": give one another name')
            found[name] = (reference, MeasureIdentity(name, source_hash(reference, MEASURES)))
    return list(found.values())


def is_standard(name: str) -> bool:
    """Whether every record carries a measure of this name."""
    entry = registry.plugins(MEASURES).get(name)
    return entry is not None and entry.module == STANDARD


def distinct(measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """The measures, if no two have one name.

    Raises:
        HarnessError: a name that stands twice.
    """
    found: dict[str, Measure] = {}
    for one in measures:
        if found.setdefault(one.name, one).function is not one.function:
            raise HarnessError(f'two measures are called "{one.name}": give one another name')
    return tuple(found.values())
