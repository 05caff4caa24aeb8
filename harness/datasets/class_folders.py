"""A plain data set: one folder of images per class, with or without a `split.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.datasets.catalogue import PHOTO
from harness.datasets.dataset import SPLITS, DatasetError, Item, MissingData
from harness.datasets.file_set import FileDataset, class_folders, image_files
from harness.datasets.split_file import parse_item
from harness.errors import few


def load_class_folders(name: str, root: Path, split: Path | None = None) -> FileDataset:
    """Images in class folders. The splits come from, in this order:

    1. `split`, or `split.json` in `root`: `{"classnames": […], "template": "…", "train": […],
       "val": […], "test": […]}`; an item is `{"path", "label", "classname"}` or CoOp's
       `[path, label, class name]`;
    2. folders `train/`, `val/`, `test/` (at least `test/`) with the class folders in them;
    3. otherwise every image is in `test`: the set then serves for evaluation and retention.

    Without a split file class names are the folders' names in sorted order, `_` read as a space.

    Raises:
        DatasetError: no such folder, no classes, splits with other classes, or a bad split file.
    """
    if not root.is_dir():
        raise MissingData(f"{name}: no folder {root}")
    file = split or root / "split.json"
    if split is not None or file.is_file():
        return _from_split(name, root, file)
    folders = {s: root / s for s in SPLITS if (root / s).is_dir()}
    if "test" not in folders:
        if folders:
            there = " and ".join(f"{s}/" for s in folders)
            raise DatasetError(f"{name}: {root} has {there} but no test/")
        folders = {"test": root}
    classes = class_folders(folders.get("train", folders["test"]))
    if not classes:
        raise DatasetError(f"{name}: no class folders in {root}")
    names = tuple(c.replace("_", " ") for c in classes)
    splits = {}
    for key, folder in folders.items():
        other = sorted(set(class_folders(folder)) ^ set(classes))
        if other:
            raise DatasetError(f"{name}: not every split of {root} has the class {few(other, 3)}")
        prefix = "" if folder == root else f"{key}/"
        splits[key] = tuple(
            Item(f"{prefix}{c}/{image}", label, names[label])
            for label, c in enumerate(classes)
            for image in image_files(folder / c)
        )
        if not splits[key]:
            raise DatasetError(f"{name}: no images in {folder}")
    return FileDataset(name=name, class_names=names, templates=(PHOTO,), splits=splits, images=root)


def _from_split(name: str, root: Path, path: Path) -> FileDataset:
    content = _read_json(path)
    names, template = content.get("classnames"), content.get("template", PHOTO)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not names:
        raise DatasetError(f'{path}: "classnames" is not a list of names')
    if not isinstance(template, str):
        raise DatasetError(f'{path}: "template" is {template!r}, expected a string')
    splits = {s: _items(path, s, content[s], len(names)) for s in SPLITS if s in content}
    if "test" not in splits:
        raise DatasetError(f'{path}: missing key "test"')
    return FileDataset(
        name=name, class_names=tuple(names), templates=(template,), splits=splits, images=root
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not UTF-8 text") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def _items(path: Path, split: str, rows: object, classes: int) -> tuple[Item, ...]:
    if not isinstance(rows, list):
        raise DatasetError(f'{path}: "{split}" is {type(rows).__name__}, expected a list of items')
    items = []
    for number, row in enumerate(rows):
        where = f"{path}: {split}[{number}]"
        if isinstance(row, dict):
            values = [row.get(key) for key in ("path", "label", "classname")]
        elif isinstance(row, list) and len(row) == 3:
            values = row
        else:
            raise DatasetError(f'{where}: {row!r} is not {{"path", "label", "classname"}}')
        item = parse_item(values[0], values[1], values[2], where)
        if item.label >= classes:
            raise DatasetError(f"{where}: label is {item.label}, there are {classes} classes")
        items.append(item)
    return tuple(items)
