"""What image files contain: a hash of their bytes, and what their headers say.

Every file is read once, on a few threads, and what was found is remembered by path, size, times of
last change and inode, in one small file a folder; an interrupted pass goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from harness.canonical import content_id
from harness.datasets.remembered import keep, memory, version
from harness.features.threads import parallel

FORM = 1
"""Raised whenever what is kept of a file changes."""

_YOUNG = 2 * 10**9
"""Nanoseconds: a file changed so lately may change again within one tick of its file system's
clock, so that it is not remembered yet."""

_ORIENTATION = 0x0112

_UPRIGHT = 1


class FileContent(NamedTuple):
    """One image file."""

    sha256: str
    mode: str
    """Pillow's name for the kind of its pixels; empty where the header cannot be read."""
    orientation: int
    """Of EXIF, from 1 to 8; 1 is upright, and where nothing is said."""
    several: bool
    """Whether it holds more than one picture (an animation, pages)."""

    @property
    def turned(self) -> bool:
        """Whether it says that it is to be turned or mirrored before it is looked at."""
        return self.orientation != _UPRIGHT


def file_contents(root: Path, paths: Iterable[str]) -> dict[str, FileContent | None]:
    """By path below `root`; None where a file is missing, or cannot be read."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    found: dict[str, FileContent | None] = {}
    for folder, names in folders.items():
        prefix = f"{folder}/" if folder else ""
        inside = _of_folder(root / folder, names)
        found.update((prefix + name, content) for name, content in inside.items())
    return found


def _of_folder(folder: Path, names: list[str]) -> dict[str, FileContent | None]:
    path = memory("images") / content_id([FORM, str(folder.resolve())])
    known = _read(path)
    added: dict[str, list[Any]] = {}

    def look(name: str) -> FileContent | None:
        try:
            state = list(version((folder / name).stat()))
            if name in known and known[name][0] == state:
                return FileContent(*known[name][1])
            content = _content((folder / name).read_bytes())
        except OSError:
            return None
        if time.time_ns() - max(state[1:3]) > _YOUNG:
            added[name] = [state, content]
        return content

    found = dict(zip(names, parallel(look, names), strict=True))
    if added:
        keep(path, json.dumps({**known, **added}).encode())
    return found


def _read(path: Path) -> Mapping[str, Any]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _content(data: bytes) -> FileContent:
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(_ORIENTATION, _UPRIGHT)
            several = bool(getattr(image, "is_animated", False)) or _pages(image) > 1
            return FileContent(sha256, image.mode, turned if turned in range(1, 9) else 1, several)
    except Exception:  # whatever a decoder raises: reading the image will say it, by name
        return FileContent(sha256, "", _UPRIGHT, False)


def _pages(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))
