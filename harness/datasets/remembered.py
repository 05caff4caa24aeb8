"""What large files contain, computed once for each state that the files are seen in."""

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

    Computed once for each state of the files: their paths, sizes, times of last change, inodes. A
    file of the same state is trusted to have the same content, so that one of gigabytes need not
    be read again. What was found is kept in `$XDG_CACHE_HOME/harness` (by default
    `~/.cache/harness`), which is safe to delete; where it cannot be written, a warning says so.
    """
    state = [[str(f.resolve()), *version(f.stat())] for f in sorted(files)]
    name = content_id({"schema": SCHEMA, "files": state, "options": options})
    path = memory("fingerprints") / name
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        pass  # not there, or not to be read: computed, and the warning below says what is wrong
    found = compute()
    keep(path, found.encode("ascii"))
    return found


def keep(path: Path, content: bytes) -> None:
    """Write what is to be remembered; where that cannot be done, a warning says so."""
    try:
        write_bytes(path, content)
    except OSError as error:
        warnings.warn(
            f"{path}: {error.strerror or error}; large files are read through at every start",
            stacklevel=3,
        )


def version(stat: os.stat_result) -> tuple[int, int, int, int]:
    """What tells one state of a file from another: size, times of last change, inode."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def memory(kind: str) -> Path:
    """The folder of what is remembered of one kind."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "harness" / kind
