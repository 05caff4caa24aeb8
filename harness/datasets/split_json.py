"""A split file of one's own: `split.json`, or any file of that form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.datasets.catalogue import PHOTO
from harness.datasets.class_names import check_class_names, prompt_key, renamed
from harness.datasets.class_tree import SPLIT_NAMES
from harness.datasets.dataset import SPLITS, DatasetError, Item
from harness.datasets.file_set import FileDataset
from harness.datasets.split_file import parse_item
from harness.errors import did_you_mean
from harness.wording import quoted

_KEYS = ("classnames", "template", *SPLITS)


def read_split_json(
    name: str, root: Path, path: Path, classnames: Mapping[str, str]
) -> FileDataset:
    """`{"classnames": […], "template": "…", "train": […], "val": […], "test": […]}`; an item is
    `{"path", "label", "classname"}` or CoOp's `[path, label, class name]`, its path below `root`.
    Other keys may say what else there is to say, but hold no list.

    Args:
        classnames: other names for classes, by their name in the file.

    Raises:
        DatasetError: the file contradicts itself or is malformed; file and place are named.
    """
    content = _read_json(path)
    names, template = content.get("classnames"), content.get("template", PHOTO)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not names:
        raise DatasetError(f'{path}: "classnames" is not a list of names')
    if not isinstance(template, str):
        raise DatasetError(f'{path}: "template" is {template!r}, expected a string')
    check_class_names(str(path), names, _places(names))
    splits = {s: _items(path, key, content[key], names) for s, key in _keys(path, content).items()}
    if "test" not in splits:
        raise DatasetError(f'{path}: missing key "test"')
    called = renamed(str(path), names, classnames)
    check_class_names(str(path), called, _places(called))
    return FileDataset(
        name=name, class_names=called, templates=(template,), splits=splits, images=root
    )


def _places(names: list[str] | tuple[str, ...]) -> list[str]:
    return [f"classnames[{number}] {quoted(name)}" for number, name in enumerate(names)]


def _keys(path: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """The file's key of each split; keys that hold a list and are none are refused."""
    found: dict[str, str] = {}
    for key, value in content.items():
        split = SPLIT_NAMES.get(key.lower())
        if split is None:
            if isinstance(value, list) and key not in _KEYS:
                raise DatasetError(f'{path}: unknown key "{key}"{did_you_mean(key, _KEYS)}')
            continue
        if split in found:
            raise DatasetError(f'{path}: "{found[split]}" and "{key}" are both the {split} split')
        found[split] = key
    return {split: found[split] for split in SPLITS if split in found}


def _items(path: Path, key: str, rows: object, names: list[str]) -> tuple[Item, ...]:
    if not isinstance(rows, list):
        raise DatasetError(f'{path}: "{key}" is {type(rows).__name__}, expected a list of items')
    items = []
    for number, row in enumerate(rows):
        where = f"{path}: {key}[{number}]"
        if isinstance(row, dict):
            values = [row.get(part) for part in ("path", "label", "classname")]
        elif isinstance(row, list) and len(row) == 3:
            values = row
        else:
            raise DatasetError(f'{where}: {row!r} is not {{"path", "label", "classname"}}')
        item = parse_item(values[0], values[1], values[2], where)
        if item.label >= len(names):
            raise DatasetError(f"{where}: label is {item.label}, there are {len(names)} classes")
        if prompt_key(item.classname) != prompt_key(names[item.label]):
            raise DatasetError(
                f"{where}: label {item.label} with the class name {quoted(item.classname)}, but "
                f"classnames[{item.label}] is {quoted(names[item.label])}"
            )
        items.append(item)
    return tuple(items)


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
