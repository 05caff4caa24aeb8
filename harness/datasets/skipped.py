"""What of a data set's folder was passed over, and why: counted, with the first one named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Skipped:
    """Files or folders that are not part of a data set as it was read."""

    what: str
    """What they are, in the plural, such as "files of kind .txt"."""
    count: int
    first: str
    """The path of the first one, below the data set's root."""

    def __str__(self) -> str:
        return f"{self.count:,} {self.what} ({self.first}{' …' if self.count > 1 else ''})"


Passed = tuple[str, str]
"""(what it is, its path): one thing passed over."""


def tally(passed: Iterable[Passed]) -> tuple[Skipped, ...]:
    """One entry a kind, in the order in which they were met."""
    found: dict[str, list[str]] = {}
    for what, path in passed:
        found.setdefault(what, []).append(path)
    return tuple(Skipped(what, len(paths), paths[0]) for what, paths in found.items())
