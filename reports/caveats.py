"""What a reader of any report should keep in mind, under the protocols that it has."""

from __future__ import annotations

from collections.abc import Iterator

from harness.protocols import PROTOCOLS
from harness.reports.study import Study


def caveats(study: Study) -> tuple[str, ...]:
    """Sentences below the page."""
    return tuple(_caveats(study))


def _caveats(study: Study) -> Iterator[str]:
    yield (
        "Intervals cover the choice of few-shot images and the training seed, not the choice of "
        "data sets, of the backbone or of the hyper-parameters."
    )
    yield (
        "With three draws a t interval is wide; a difference that is undecided here is not shown "
        "to be zero, and one that is decided is one of many that were looked at."
    )
    few = study.frame[study.frame["shots"] > 0]
    found = {PROTOCOLS[name] for name in few["protocol"].unique()}
    if any(not access.searches for access in found):
        yield (
            "Under the protocol fixed every row has the one configuration listed under Provenance; "
            "a method may do better with another."
        )
    if any(access.search_on == "val" for access in found):
        yield (
            "Where hyper-parameters were searched, each cell has the values that its own "
            "validation images chose (Search, above): a few images choose with noise, and a "
            "method with more settings to choose has more ways to profit and to err."
        )
    if any(access.search_on == "test" for access in found):
        yield "Under the protocol oracle test labels chose: an upper bound, not a result."
    yield (
        "Times and memory were measured while the grid ran, possibly several cells at once on one "
        "machine: compare them within one run only."
    )
