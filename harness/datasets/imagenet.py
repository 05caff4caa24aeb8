"""ImageNet and its variants V2, Sketch, A and R: class folders named by WordNet id.

Files are listed in sorted order: released code draws from unsorted directories, so that the same
seed gives other images on other machines.
"""

from __future__ import annotations

from pathlib import Path

from harness.datasets.catalogue import Known
from harness.datasets.dataset import DatasetError, Item, MissingData
from harness.datasets.file_set import (
    FileDataset,
    class_folders,
    find_folder,
    find_images,
    image_files,
    read_lines,
)
from harness.errors import few

CLASS_NAMES = "classnames.txt"
"""CoOp's list of ImageNet class names: one "n01440764 tench" per line."""


def load_imagenet(known: Known, root: Path) -> FileDataset:
    """ImageNet: `train` and, as in the literature, its validation images as `test`.

    There is no `val` split: protocols that need few-shot validation images cannot use it.

    Raises:
        DatasetError: no folder, no class names, or not 1000 class folders.
    """
    folder = find_folder(known, root)
    images = find_images(known, folder)
    if not (images / "train").is_dir() or not (images / "val").is_dir():
        raise MissingData(f"{known.name}: no train/ and val/ in {images}")
    ids = _ids(known, images / "train")
    names = read_class_names(_names_file(known, folder, root), ids)
    splits = {
        s: _items(images, f"{d}/", ids, names) for s, d in (("train", "train"), ("test", "val"))
    }
    return _dataset(known, images, ids, names, splits)


def load_variant(known: Known, root: Path) -> FileDataset:
    """A variant: one `test` split; A and R have the names of their own 200 classes only.

    ImageNet-V2's folders are labels (0 … 999), in the order of the sorted WordNet ids.

    Raises:
        DatasetError: no folder, no class names, or not the known number of class folders.
    """
    folder = find_folder(known, root)
    images = find_images(known, folder)
    names_file = _names_file(known, folder, root)
    ids = _ids(known, images)
    if known.name == "imagenet_v2":
        numbered = [str(label) for label in range(known.classes)]
        if set(ids) != set(numbered):
            raise DatasetError(
                f"{known.name}: class folders in {images} are not 0 … {len(ids) - 1}"
            )
        ids = numbered
        wordnet_ids = sorted(read_names(names_file))
        if len(wordnet_ids) != known.classes:
            raise DatasetError(f"{names_file}: {len(wordnet_ids)} names, expected {known.classes}")
    else:
        wordnet_ids = ids
    names = read_class_names(names_file, wordnet_ids)
    return _dataset(known, images, wordnet_ids, names, {"test": _items(images, "", ids, names)})


def read_class_names(path: Path, ids: list[str]) -> tuple[str, ...]:
    """The names of `ids`, in their order.

    Raises:
        DatasetError: as `read_names`, or an id is not in the file.
    """
    names = read_names(path)
    missing = [i for i in ids if i not in names]
    if missing:
        raise DatasetError(f"{path}: no name for {few(missing, 3)}")
    return tuple(names[i] for i in ids)


def read_names(path: Path) -> dict[str, str]:
    """Class name by WordNet id.

    Raises:
        DatasetError: the file cannot be read, or has a line without a name.
    """
    names = {}
    for number, line in enumerate(read_lines(path), start=1):
        wordnet_id, _, name = line.partition(" ")
        if not name:
            raise DatasetError(f'{path}:{number}: "{line}" is not "id name"')
        names[wordnet_id] = name.strip()
    return names


def _names_file(known: Known, folder: Path, root: Path) -> Path:
    """In the data set's own folder, or in ImageNet's beside it."""
    beside = {folder.parent, root}
    places = [folder, *(b / n for b in sorted(beside) for n in ("imagenet", "ImageNet"))]
    for place in places:
        if (place / CLASS_NAMES).is_file():
            return place / CLASS_NAMES
    raise MissingData(
        f"{known.name}: no {CLASS_NAMES} in {folder} or in imagenet/ beside it: CoOp's DATASETS.md "
        f"(github.com/KaiyangZhou/CoOp) says where to get it"
    )


def _ids(known: Known, folder: Path) -> list[str]:
    ids = class_folders(folder)
    if len(ids) != known.classes:
        raise DatasetError(
            f"{known.name}: {len(ids)} class folders in {folder}, expected {known.classes}; "
            f"use a part of it with kind: folder"
        )
    return ids


def _items(images: Path, prefix: str, ids: list[str], names: tuple[str, ...]) -> tuple[Item, ...]:
    return tuple(
        Item(f"{prefix}{wordnet_id}/{file}", label, names[label])
        for label, wordnet_id in enumerate(ids)
        for file in image_files(images / prefix / wordnet_id)
    )


def _dataset(
    known: Known,
    images: Path,
    ids: list[str],
    names: tuple[str, ...],
    splits: dict[str, tuple[Item, ...]],
) -> FileDataset:
    return FileDataset(
        name=known.name,
        class_names=names,
        class_ids=tuple(ids),
        templates=(known.template,),
        splits=splits,
        source=known.source,
        licence=known.licence,
        images=images,
    )
