"""Where reports go: each suite, and each choice of its cells, has a folder of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from harness.plan.expand import Plan
from harness.store.atomic import write_bytes
from harness.store.store import Store

OWNER = ".suite"
"""The file of a report's folder that says of which suite, and which of its cells, the report is."""


def report_folder(plan: Plan, store: Store, only: Sequence[str]) -> Path:
    """The folder of a report by default, now owned by it.

    Named after the suite and what `--only` chose; where that is the folder of another suite of the
    same name, or of another choice, the first of NAME-2, NAME-3, … that is not.
    """
    owner = _owner(plan, store, only)
    name = plan.suite.suite.name
    if only:
        chosen = re.sub(r"[^\w=,.()-]+", "_", " ".join(sorted(only)))
        name = f"{name}-only-{chosen}"[:200]
    for number in count(1):
        folder = store.root / "reports" / (name if number == 1 else f"{name}-{number}")
        if owner_of(folder) in ("", owner):
            break
    write_bytes(folder / OWNER, owner.encode())
    return folder


def owner_of(folder: Path) -> str:
    """What a report's folder says of its owner; "" where it says nothing or is not there."""
    try:
        return (folder / OWNER).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _owner(plan: Plan, store: Store, only: Sequence[str]) -> str:
    """The suite's path as seen from the store, so that both may be moved, and what was chosen."""
    path = os.path.relpath(plan.suite.path.resolve(), store.root.resolve())
    return "".join(f"{line}\n" for line in (Path(path).as_posix(), *sorted(only)))
