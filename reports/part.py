"""`Part`: one thing that a report shows; a new one is one small class, in anybody's file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness import registry
from harness.errors import HarnessError
from harness.reports.study import Study
from harness.reports.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP = "harness.report_parts"
"""Entry-point group of parts that a suite may name."""


@dataclass(frozen=True)
class Plot:
    """A plot to be drawn: the name of its file, what it shows (read aloud too), how to read it."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


class Part:
    """Tables and plots of one `Study`, under one heading of the page.

    Numbers of a table's `data` are written to `<name>.csv`, what it shows to `<name>.md`; a plot to
    `<plot's name>.svg`. The same study must give the same bytes.
    """

    name: ClassVar[str]
    """Of its files, and of its place on the page."""
    title: ClassVar[str]
    """The heading; neighbours with the same one share it."""
    folded: ClassVar[bool] = False
    """Whether its tables open on a click only."""
    side_by_side: ClassVar[bool] = False
    words: ClassVar[bool] = False
    """Whether its tables hold words more than numbers: to the left, over several lines."""
    printed: ClassVar[int] = 0
    """How many of its first tables are printed on the terminal as well."""

    def tables(self, study: Study) -> Sequence[Table]:
        """Its tables; none where they would have no meaning."""
        return ()

    def plots(self, study: Study) -> Sequence[Plot]:
        """Its plots."""
        return ()


def find_part(reference: str, base: Path | None = None) -> Part:
    """The part that a registered name or a `path/to/file.py:Class` stands for.

    Raises:
        HarnessError: as `registry.find`; or the object is no `Part` class, has no usable name or no
            title, or shows nothing.
    """
    found = registry.find(GROUP, reference, base)
    if not (isinstance(found, type) and issubclass(found, Part)):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise HarnessError(
            f'"{reference}": {what} is not a Part: derive one from harness.reports.part.Part'
        )
    name, title = getattr(found, "name", None), getattr(found, "title", None)
    if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)):
        raise HarnessError(
            f'"{reference}": class {found.__name__} needs a name for its files, in small letters: '
            f'name = "my_part" (found {name!r})'
        )
    if not (isinstance(title, str) and title):
        raise HarnessError(f'"{reference}": class {found.__name__} has no title: the heading')
    if found.tables is Part.tables and found.plots is Part.plots:
        raise HarnessError(
            f'"{reference}": class {found.__name__} shows nothing: write tables(self, study) or '
            "plots(self, study)"
        )
    return found()
