"""Two stores made one: equal ids hold equal numbers, or nothing is merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import few
from harness.store.atomic import write_bytes
from harness.store.store import Disagreement, Store, difference


@dataclass(frozen=True)
class Merged:
    """What came of a merge."""

    added: int
    held: int
    """Cells of the other store that were here already, with equal numbers."""
    unread: Mapping[Path, str]
    """Files of the other store that were left there, and why."""


def merge(source: Store, target: Store) -> Merged:
    """Copy the finished cells of `source`, and what was kept of them, into `target`.

    Failures are not copied: they count for nothing. Whatever `target` holds stays as it is.

    Raises:
        Disagreement: a cell has other numbers in one store than in the other. Nothing was copied.
    """
    theirs = source.all()
    ours = target.load(theirs.records).records
    both = [(ours[cell], theirs.records[cell]) for cell in theirs.records if cell in ours]
    apart = [f"{a.id[:12]} ({what})" for a, b in both if (what := difference(a, b))]
    if apart:
        raise Disagreement(
            f"{source.root}: {len(apart)} cells have other numbers in {target.root}: "
            f"{few(apart, 3, '; ')}; nothing was merged: move the wrong ones out of cells/, or "
            "keep the stores apart"
        )
    for cell in theirs.records:
        _copy(source.logits / f"{cell}.npz", target.logits)
        _copy(source.cells / f"{cell}.json", target.cells)  # last: a record says that all is here
    unread = {**theirs.corrupt, **theirs.later}
    return Merged(len(theirs.records) - len(both), len(both), unread)


def _copy(path: Path, folder: Path) -> None:
    if path.is_file() and not (folder / path.name).exists():
        write_bytes(folder / path.name, path.read_bytes())
