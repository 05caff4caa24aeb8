"""A plain data set: one folder of images per class, with or without a split file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.datasets.catalogue import PHOTO
from harness.datasets.class_names import check_class_names, renamed
from harness.datasets.class_tree import Tree, folders_beside, read_tree, split_folders
from harness.datasets.dataset import SPLITS, DatasetError, Item, MissingData
from harness.datasets.file_set import FileDataset
from harness.datasets.made_split import MadeSplit, make_split
from harness.datasets.skipped import Passed, tally
from harness.datasets.split_json import read_split_json
from harness.errors import few

Folders = Mapping[str, Mapping[str, list[str]]]
"""By split and class folder: images, as paths below the class folder."""


def load_class_folders(
    name: str,
    root: Path,
    split: Path | MadeSplit | None = None,
    classnames: Mapping[str, str] | None = None,
) -> FileDataset:
    """Images in class folders. The splits come from, in this order:

    1. `split`, or `split.json` in `root`: see `harness.datasets.split_json`;
    2. folders `train/`, `val/`, `test/` (at least `test/`) with the class folders in them;
    3. `split` as a seed and parts: made of the class folders in `root`;
    4. otherwise every image is in `test`: the set then serves for evaluation and retention.

    Without a split file class names are the folders' names in sorted order, `_` read as a space.

    Args:
        classnames: the names of classes, by folder (or by their name in the split file).

    Raises:
        DatasetError: no such folder, no classes, splits with other classes, two classes with one
            prompt, or a bad split file.
    """
    if not root.is_dir():
        raise MissingData(f"{name}: no folder {root}")
    file = root / "split.json" if split is None else split
    if isinstance(file, Path) and (split is not None or file.is_file()):
        return read_split_json(name, root, file, classnames or {})
    found = split_folders(root)
    if isinstance(split, MadeSplit):
        if found:
            there = few(f"{folder.name}/" for folder in found.values())
            raise DatasetError(f"{name}: {root} is split already ({there}): leave split: out")
        return _made(name, root, split, classnames or {})
    if not found:
        return _evaluation_only(name, root, classnames or {})
    return _split(name, root, found, classnames or {})


def _split(
    name: str, root: Path, folders: Mapping[str, Path], classnames: Mapping[str, str]
) -> FileDataset:
    if "test" not in folders:
        there = " and ".join(f"{folder.name}/" for folder in folders.values())
        raise DatasetError(
            f"{name}: {root} has {there} but no test/: rename one, or write a split file"
        )
    trees = {s: read_tree(f, f"{f.name}/") for s, f in folders.items()}
    passed = [p for tree in trees.values() for p in tree.passed]
    passed += [("folders beside the splits", other) for other in folders_beside(root, folders)]
    classes = set[str]().union(*(tree.images for tree in trees.values()))
    for split, tree in trees.items():
        if not tree.images:
            raise DatasetError(f"{name}: no images in class folders in {folders[split]}")
    for split, tree in trees.items():
        if lacking := sorted(classes - set(tree.images)):
            raise DatasetError(
                f"{name}: not every split of {root} has the class {few(lacking, 3)}: no image of "
                f"it in {folders[split].name}/; a split file may leave it out"
            )
    prefixes = {split: f"{folder.name}/" for split, folder in folders.items()}
    images: Folders = {split: trees[split].images for split in SPLITS if split in trees}
    return _dataset(name, root, images, prefixes, passed, classnames)


def _made(name: str, root: Path, split: MadeSplit, classnames: Mapping[str, str]) -> FileDataset:
    tree = _classes_in(name, root)
    images = make_split(f"{name}: {root}", tree.images, split)
    data = _dataset(name, root, images, {}, tree.passed, classnames)
    return replace(data, remarks=(f"split {split}", *data.remarks))


def _evaluation_only(name: str, root: Path, classnames: Mapping[str, str]) -> FileDataset:
    tree = _classes_in(name, root)
    return _dataset(name, root, {"test": tree.images}, {}, tree.passed, classnames)


def _classes_in(name: str, root: Path) -> Tree:
    tree = read_tree(root)
    if not tree.images:
        passed = "; ".join(map(str, tally(tree.passed)))
        found = f" (found: {passed})" if passed else ""
        raise DatasetError(f"{name}: no class folders with images in {root}{found}")
    return tree


def _dataset(
    name: str,
    root: Path,
    images: Folders,
    prefixes: Mapping[str, str],
    passed: list[Passed],
    classnames: Mapping[str, str],
) -> FileDataset:
    classes = sorted(set[str]().union(*images.values()))
    given = renamed(f"{name}: {root}", classes, classnames)
    names = tuple(n.replace("_", " ") for n in given)
    first = prefixes.get("train", prefixes.get("test", ""))
    places = [f'the folder "{first}{c}"' + _called(classnames.get(c)) for c in classes]
    check_class_names(f"{name}: {root}", names, places)
    splits = {
        split: tuple(
            Item(f"{prefixes.get(split, '')}{c}/{path}", label, names[label])
            for label, c in enumerate(classes)
            for path in by_class.get(c, ())
        )
        for split, by_class in images.items()
    }
    every = [path for by_class in images.values() for paths in by_class.values() for path in paths]
    deep = sum("/" in path for path in every)
    remarks = (f"{deep:,} images lie in sub-folders of their class's folder",) if deep else ()
    return FileDataset(
        name=name,
        class_names=names,
        templates=(PHOTO,),
        splits=splits,
        images=root,
        skipped=tally(passed),
        remarks=remarks,
    )


def _called(name: str | None) -> str:
    return f' (called "{name}")' if name else ""
