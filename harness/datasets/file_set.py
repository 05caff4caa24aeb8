"""`FileDataset`: images in files below one folder; and how a known data set's folder is found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.catalogue import Known
from harness.datasets.dataset import Dataset, DatasetError, Item, MissingData, digest
from harness.datasets.read_image import read_image
from harness.errors import few
from harness.features.threads import parallel

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})

UNCOMPRESSED = frozenset({".bmp", ".ppm", ".tif", ".tiff"})
"""Formats whose files are of one size wherever the images are: there the size says nothing."""

"""How many bad files an error names; it counts all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileDataset(Dataset):
    """A data set whose items are image files below `images`."""

    images: Path

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of class names, items, and what stands for the pixels of every file.

        That is the file's size, which is quick to ask for and differs between compressed images;
        for uncompressed formats, whose size follows from height and width, a hash of the bytes.

        Raises:
            DatasetError: files are missing; they are counted, the first ones named.
        """
        paths = sorted({item.impath for items in self.splits.values() for item in items})
        content = parallel(lambda impath: file_content(self.images / impath), paths)
        missing = [path for path, found in zip(paths, content, strict=True) if found is None]
        if missing:
            raise MissingData(
                f"{self.name}: {len(missing)} of {len(paths)} images are missing below "
                f"{self.images}: {few(missing, 3)}"
            )
        return digest(self.class_names, self.splits, content)

    def read(self, items: Sequence[Item]) -> list[NDArray[np.uint8]]:
        def attempt(item: Item) -> NDArray[np.uint8] | DatasetError:
            try:
                return read_image(self.images / item.impath)
            except DatasetError as error:
                return error

        found = parallel(attempt, items)
        bad = [str(f) for f in found if isinstance(f, DatasetError)]
        if bad:
            count = f"{self.name}: {len(bad)} of {len(items)} images cannot be read: "
            raise DatasetError((count if len(items) > 1 else "") + few(bad, 3, "; "))
        return [f for f in found if not isinstance(f, DatasetError)]


def find_folder(known: Known, root: Path) -> Path:
    """The data set's folder: below `root` under one of its names, or `root` itself.

    Raises:
        DatasetError: there is none; the names looked for are listed.
    """
    own = any(root.parts[-len(Path(f).parts) :] == Path(f).parts for f in known.folders)
    if own and any((root / images).is_dir() for images in known.images):
        return root
    for folder in known.folders:
        if (root / folder).is_dir():
            return root / folder
    if own and root.is_dir():
        return root
    names = ", ".join(f"{folder}/" for folder in known.folders)
    raise MissingData(f"{known.name}: no folder for it in {root} (looked for {names})")


def find_images(known: Known, folder: Path) -> Path:
    """Where the images begin, below the data set's folder.

    Raises:
        DatasetError: no such folder.
    """
    for images in known.images:
        if (folder / images).is_dir():
            return folder / images
    names = " or ".join(f"{images}/" for images in known.images)
    raise MissingData(f"{known.name}: no images in {folder} (looked for {names})")


def read_lines(path: Path) -> list[str]:
    """The non-empty lines of a text file, stripped.

    Raises:
        DatasetError: the file cannot be read, or is empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        kind = MissingData if isinstance(error, FileNotFoundError) else DatasetError
        raise kind(f"{path}: cannot be read: {reason}") from None
    if not any(lines):
        raise DatasetError(f"{path}: the file is empty")
    return [line for line in lines if line]


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def image_files(folder: Path) -> list[str]:
    """Names of the image files in `folder`, sorted (directory order differs between machines)."""
    with os.scandir(folder) as entries:
        names = (e.name for e in entries if not e.name.startswith("."))
        return sorted(name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES)


def file_size(path: Path) -> int | None:
    """Bytes of a file; None where it is missing."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def file_content(path: Path) -> int | str | None:
    """What stands for a file in a fingerprint: its size, or a SHA-256; None where it is missing."""
    if path.suffix.lower() not in UNCOMPRESSED:
        return file_size(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
