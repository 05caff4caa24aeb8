"""CoOp's split files: `{"train": [[relative path, label, class name], …], "val": …, "test": …}`."""

from __future__ import annotations

import json
from pathlib import Path

from harness.datasets.dataset import DatasetError, Item


def read_split(path: str | Path) -> dict[str, tuple[Item, ...]]:
    """The items of `split_zhou_*.json`, in the file's order, by "train", "val", "test".

    "train" is required; "val" and "test" may be absent (published draws have no "test").

    Raises:
        DatasetError: missing, empty or malformed file; the message names the file and the item.
    """
    path = Path(path)
    content = _read_object(path)
    unknown = sorted(set(content) - {"train", "val", "test"})
    if unknown:
        raise DatasetError(f'{path}: unknown key "{unknown[0]}", expected "train", "val", "test"')
    if "train" not in content:
        there = ", ".join(f'"{key}"' for key in content) or "none"
        raise DatasetError(f'{path}: missing key "train" (keys there: {there})')
    splits = {split: _read_items(path, split, rows) for split, rows in content.items()}
    if not splits["train"]:
        raise DatasetError(f'{path}: "train" is empty: nothing can be drawn from it')
    return splits


def parse_item(impath: object, label: object, classname: object, where: str) -> Item:
    """An `Item` from untrusted values; `where` begins the error message."""
    if not isinstance(impath, str) or not impath:
        raise DatasetError(f"{where}: path is {impath!r}, expected a non-empty string")
    if isinstance(label, bool) or not isinstance(label, int) or label < 0:
        raise DatasetError(f"{where}: label is {label!r}, expected an integer of at least 0")
    if not isinstance(classname, str) or not classname:
        raise DatasetError(f"{where}: class name is {classname!r}, expected a non-empty string")
    return Item(impath, label, classname)


def _read_object(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DatasetError(f"{path}: cannot be read: {reason}") from None
    if not text.strip():
        raise DatasetError(f"{path}: the file is empty")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise DatasetError(f'{path}: expected an object with "train", "val", "test", found {kind}')
    return content


def _read_items(path: Path, split: str, rows: object) -> tuple[Item, ...]:
    if not isinstance(rows, list):
        raise DatasetError(f'{path}: "{split}" is {type(rows).__name__}, expected a list of items')
    items = []
    for number, row in enumerate(rows):
        where = f"{path}: {split}[{number}]"
        if not isinstance(row, list) or len(row) != 3:
            raise DatasetError(f"{where}: {_short(row)} is not [path, label, class name]")
        impath, label, classname = row
        items.append(parse_item(impath, label, classname, where))
    return tuple(items)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
