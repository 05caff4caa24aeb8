"""Fingerprints of large files, computed once for each state that the files are seen in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness.canonical import content_id
from harness.store.atomic import write_bytes
from harness.store.record import SCHEMA


def remembered(files: Iterable[Path], options: Any, compute: Callable[[], str]) -> str:
    """`compute()`, a pure function of the files' content and of `options` (JSON values).

    Computed once for each state of the files: their paths, sizes and times of last change. A file
    of the same state is trusted to have the same content, so that one of gigabytes need not be
    read again. What was found is kept in `$XDG_CACHE_HOME/harness` (by default
    `~/.cache/harness`), which is safe to delete; where it cannot be written, a warning says so.
    """
    state = [[str(f.resolve()), *_version(f)] for f in sorted(files)]
    name = content_id({"schema": SCHEMA, "files": state, "options": options})
    path = _folder() / name
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        pass  # not there, or not to be read: computed, and the warning below says what is wrong
    found = compute()
    try:
        write_bytes(path, found.encode("ascii"))
    except OSError as error:
        warnings.warn(
            f"{path}: {error.strerror or error}; large files are read through at every start",
            stacklevel=2,
        )
    return found


def _version(file: Path) -> tuple[int, int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "harness" / "fingerprints"
