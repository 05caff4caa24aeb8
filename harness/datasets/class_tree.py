"""Class folders as they lie on disk: which hold images, and what is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.datasets.dataset import SPLITS, DatasetError
from harness.datasets.skipped import Passed

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .webp .tif .tiff .ppm .pgm .pbm .pnm".split()
)

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What folders and keys of the field's data sets call the splits, in small letters."""

_JUNK_FOLDERS = frozenset({"__macosx", "@eadir", "thumbnails", "thumbs", "$recycle.bin"})
_JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass
class Tree:
    """The images below a folder of class folders; what was passed over is listed, never dropped."""

    images: dict[str, list[str]] = field(default_factory=dict)
    """By class folder, in sorted order: paths below it, sorted (directories come in any order).
    Images in sub-folders are their class's, as torchvision's `ImageFolder` has it."""
    passed: list[Passed] = field(default_factory=list)


def read_tree(folder: Path, prefix: str = "") -> Tree:
    """The class folders in `folder`. Those without an image are no classes.

    Args:
        prefix: put in front of the paths of what is passed over.

    Raises:
        DatasetError: a folder cannot be read, or classes are cut into splits of their own.
    """
    tree = Tree()
    for entry in _entries(folder):
        path = prefix + entry.name
        if entry.is_dir():
            if _junk_folder(entry.name):
                tree.passed.append(("hidden or system folders", path))
                continue
            found = sorted(_images_below(folder / entry.name, path, tree.passed))
            _refuse_splits_inside(folder, entry.name, found)
            if found:
                tree.images[entry.name] = found
            else:
                tree.passed.append(("folders without an image", path))
        elif is_image(entry.name):
            tree.passed.append(("images in no class folder", path))
    return tree


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of `root` that are splits, by "train", "val", "test"; none where it has neither
    a train nor a test folder: its folders are then classes, whatever their names.

    Raises:
        DatasetError: two folders are the same split.
    """
    found: dict[str, Path] = {}
    for entry in _entries(root):
        split = SPLIT_NAMES.get(entry.name.lower())
        if split is None or not entry.is_dir():
            continue
        if split in found:
            raise DatasetError(
                f"{root}: {found[split].name}/ and {entry.name}/ are both the {split} split: "
                "join them, or write a split file"
            )
        found[split] = root / entry.name
    if not {"train", "test"} & set(found):
        return {}
    return {split: found[split] for split in SPLITS if split in found}


def folders_beside(root: Path, splits: Mapping[str, Path]) -> list[str]:
    """The folders of `root` that are no split, system folders left out."""
    taken = {folder.name for folder in splits.values()}
    names = (entry.name for entry in _entries(root) if entry.is_dir())
    return [name for name in names if name not in taken and not _junk_folder(name)]


def is_image(name: str) -> bool:
    """Whether a file of this name is read as an image."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _images_below(folder: Path, prefix: str, passed: list[Passed]) -> Iterator[str]:
    """Paths below `folder`; what is no image goes to `passed`."""
    for place, folders, files in os.walk(folder, onerror=_refuse):
        below = "" if Path(place) == folder else Path(place).relative_to(folder).as_posix() + "/"
        for name in list(folders):
            link = os.path.islink(os.path.join(place, name))
            if link or _junk_folder(name):
                what = "links to folders" if link else "hidden or system folders"
                passed.append((what, f"{prefix}/{below}{name}"))
                folders.remove(name)
        folders.sort()
        for name in sorted(files):
            if is_image(name):
                yield below + name
            else:
                passed.append((_kind(name), f"{prefix}/{below}{name}"))


def _kind(name: str) -> str:
    if name.startswith(".") or name.lower() in _JUNK_FILES:
        return "hidden or system files"
    suffix = PurePosixPath(name).suffix
    return f"files of kind {suffix.lower()}" if suffix else "files without a suffix"


def _junk_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK_FOLDERS


def _refuse_splits_inside(folder: Path, name: str, images: list[str]) -> None:
    inside = {path.split("/")[0] for path in images if "/" in path}
    splits = {SPLIT_NAMES[i.lower()] for i in inside if i.lower() in SPLIT_NAMES}
    if {"train", "test"} <= splits:
        raise DatasetError(
            f"{folder / name} holds train and test folders: the splits stand above the classes, "
            "train/<class>/ and test/<class>/; move them, or write a split file"
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        _refuse(error)
        raise


def _refuse(error: OSError) -> None:
    raise DatasetError(f"{error.filename}: cannot be read: {error.strerror}") from None
