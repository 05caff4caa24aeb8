"""`FileDataset`: images in files below one folder; and how a known data set's folder is found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.datasets.catalogue import Known
from harness.datasets.class_tree import is_image
from harness.datasets.dataset import Dataset, DatasetError, Item, MissingData, digest
from harness.datasets.file_contents import FileContent, file_contents
from harness.datasets.leaks import refuse_shared_paths
from harness.datasets.read_image import read_image
from harness.errors import few
from harness.features.threads import parallel


@dataclass(frozen=True, kw_only=True, eq=False)
class FileDataset(Dataset):
    """A data set whose items are image files below `images`."""

    images: Path
    oriented: bool = False
    """Whether pictures are turned as their EXIF orientation says. CLIP's own preprocessing does
    not look at it, so by default neither does this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_shared_paths(self.name, self.splits)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of class names, items and the bytes of every file.

        Raises:
            DatasetError: files are missing; they are counted, the first ones named.
        """
        content = [self.contents[path].sha256 for path in sorted(self.contents)]
        return digest(self.class_names, self.splits, [*content, *["oriented"] * self.oriented])

    @cached_property
    def contents(self) -> Mapping[str, FileContent]:
        """What every file contains, by path.

        Raises:
            DatasetError: as `fingerprint`.
        """
        paths = sorted({item.impath for items in self.splits.values() for item in items})
        found = file_contents(self.images, paths)
        missing = [path for path in paths if found[path] is None]
        if missing:
            raise MissingData(
                f"{self.name}: {len(missing)} of {len(paths)} images are missing below "
                f"{self.images}: {few(missing, 3)}"
            )
        return {path: content for path, content in found.items() if content is not None}

    def contents_by_split(self) -> Mapping[str, Sequence[bytes | str]]:
        return {
            split: [self.contents[item.impath].sha256 for item in items]
            for split, items in self.splits.items()
        }

    def read(self, items: Sequence[Item]) -> list[NDArray[np.uint8]]:
        def attempt(item: Item) -> NDArray[np.uint8] | DatasetError:
            try:
                return read_image(self.images / item.impath, self.oriented)
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
        return sorted(entry.name for entry in entries if is_image(entry.name))


def file_size(path: Path) -> int | None:
    """Bytes of a file; None where it is missing."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
