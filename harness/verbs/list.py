"""`harness list`: what is known, one line each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from harness import registry
from harness.errors import HarnessError
from harness.plan.find_suite import shipped
from harness.plan.methods import METHODS, find_method
from harness.plan.suite import load_suite

Row = tuple[str, ...]


def show_list(what: str) -> int:
    """Print the known methods, samplers, measures, data sets, backbones or suites.

    One line each, however narrow the terminal and wherever it is piped to.
    """
    kinds: dict[str, Callable[[], Sequence[Row]]] = {
        "methods": _methods,
        "samplers": _samplers,
        "measures": _measures,
        "datasets": _datasets,
        "backbones": _backbones,
        "suites": _suites,
    }
    rows = [tuple(" ".join(word.split()) for word in row) for row in kinds[what]()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    return 0


def _methods() -> list[Row]:
    """Name, the paper with its year, and what it is."""
    rows: list[Row] = []
    for name in sorted(registry.plugins(METHODS)):
        try:
            method = find_method(name)
        except HarnessError as error:
            rows.append((name, "broken", str(error)))
            continue
        what = _first_sentence(method.__doc__) or _first_sentence(
            sys.modules[method.__module__].__doc__
        )
        rows.append((name, method.paper, f"{what} [{method.note}]" if method.note else what))
    return rows


def _first_sentence(doc: str | None) -> str:
    text = " ".join((doc or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".")


def _samplers() -> list[tuple[str, str]]:
    from harness.datasets.samplers import SAMPLERS, find_sampler

    found = [(name, find_sampler(name)) for name in sorted(registry.plugins(SAMPLERS))]
    return [(name, _first_sentence(cls.__doc__)) for name, cls in found]


def _measures() -> list[tuple[str, str, str]]:
    from harness.plan.measures import MEASURES, find_measure

    better = {True: "higher is better", False: "lower is better", None: ""}
    found = [find_measure(name) for name in sorted(registry.plugins(MEASURES))]
    return [
        (one.name, ", ".join(filter(None, (one.unit, better[one.higher_is_better]))), one.summary)
        for one in found
    ]


def _datasets() -> list[tuple[str, str]]:
    from harness.datasets import describe_datasets

    return describe_datasets()


def _backbones() -> list[tuple[str, str]]:
    from harness.backbones import describe_backbones

    return describe_backbones()


def _suites() -> list[tuple[str, str]]:
    rows = []
    for name, path in shipped().items():
        try:
            text = load_suite(path).suite.description
        except HarnessError as error:
            text = f"broken: {error}"
        rows.append((name, " ".join(text.split())))
    return rows
