"""`harness merge`: the finished cells of another store."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.errors import HarnessError
from harness.store.merge import merge
from harness.store.store import Store
from harness.verbs.skipped import cells_of


def merge_stores(source: Path, results: Path) -> int:
    """Copy what is not here; 1 where files of the other store could not be read."""
    if not (source / "cells").is_dir():
        raise HarnessError(f"{source}: no result store: it has no folder cells/")
    done = merge(Store(source), Store(results))
    console = Console(soft_wrap=True, highlight=False)
    for path, why in done.unread.items():
        console.print(f"not read: {path}: {why}", markup=False)
    console.print(
        f"{results}: {cells_of(done.added)} added, {done.held} held already with equal numbers",
        markup=False,
    )
    return 1 if done.unread else 0
