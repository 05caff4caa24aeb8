"""Draws in files, in two forms: JSON Lines, and the object of CoOp's published draws.

{"split": "train", "impath": "cat/1.jpg", "label": 0, "classname": "cat"}       a line each
{"train": [["cat/1.jpg", 0, "cat"], …], "val": […]}                             one object
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.datasets.dataset import DatasetError, Item
from harness.datasets.samplers import Drawn, Sampler
from harness.datasets.split_file import parse_item, read_split
from harness.errors import did_you_mean

KEYS = ("split", "impath", "label", "classname")
_OBJECT = re.compile(r'\s*\{\s*"(train|val|test)"\s*:')
"""How a file of the second form begins; a line of the first has none of these keys."""

Splits = dict[str, list[Item]]
"""By "train" and "val", items in drawing order."""


@dataclass(frozen=True)
class DrawFile(Sampler):
    """The draw that a file of either form holds, whatever the generator.

    Paths may begin above the data set's image root, as those of published draws do.
    """

    path: str

    name = "file"

    def draw(
        self, train: Sequence[Item], val: Sequence[Item], shots: int, rng: random.Random
    ) -> Drawn:
        """As in the file.

        Raises:
            DatasetError: malformed, an image that is not in its split or has another label there,
                or another number of shots; names file and line.
        """
        known = {
            split: {item.impath: item for item in items}
            for split, items in (("train", train), ("val", val))
        }
        drawn: Splits = {"train": [], "val": []}
        for where, split, item in _rows(Path(self.path)):
            drawn[split].append(_there(item, split, known, where))
        self._check(drawn["train"], train, shots)
        return drawn["train"], drawn["val"]

    def _check(self, drawn: Sequence[Item], train: Sequence[Item], shots: int) -> None:
        if not drawn:
            raise DatasetError(f"{self.path}: no training image in it")
        most, images = Counter(item.label for item in drawn).most_common(1)[0]
        there = sum(item.label == most for item in train)
        if images not in (shots, min(shots, there)):  # a small class may have given all it has
            name = next(item.classname for item in drawn if item.label == most)
            raise DatasetError(
                f'{self.path}: {images} training images of class "{name}", but the shots asked '
                f"for are {shots}: give the draw's own number of shots"
            )


def read_draw(path: Path) -> Splits:
    """The items of a draw's file, of either form, as they stand in it.

    Raises:
        DatasetError: cannot be read, malformed, or no training image in it.
    """
    found: Splits = {"train": [], "val": []}
    for _, split, item in _rows(path):
        found[split].append(item)
    if not found["train"]:
        raise DatasetError(f"{path}: no training image in it")
    return found


def to_json_lines(splits: Mapping[str, Sequence[Item]]) -> str:
    """One `{"split", "impath", "label", "classname"}` per line: train, then val, in order."""
    rows = [{"split": split, **item._asdict()} for split in splits for item in splits[split]]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def to_split_json(splits: Mapping[str, Sequence[Item]]) -> str:
    """The form of CoOp's published draws: one object, `[path, label, class name]` per image."""
    rows = {split: [list(item) for item in items] for split, items in splits.items()}
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n"


def _rows(path: Path) -> Iterator[tuple[str, str, Item]]:
    """Where it stands, its split, and the item, for every row of the file."""
    text = _text(path)
    if _OBJECT.match(text):
        for split, items in read_split(path).items():
            if split == "test":
                raise DatasetError(f"{path}: a draw has no test images")
            for number, item in enumerate(items):
                yield f"{path}: {split}[{number}]", split, item
        return
    # Not splitlines: U+0085 and U+2028 may stand within a name.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            split, item = _parse_line(line, where)
            yield where, split, item


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        pickled = path.suffix in (".pkl", ".pickle")
        reason = "pickles are never loaded" if pickled else "not UTF-8 text"
        reason = error.strerror or str(error) if isinstance(error, OSError) else reason
        raise DatasetError(f"{path}: cannot be read: {reason}") from None


def _parse_line(line: str, where: str) -> tuple[str, Item]:
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{where}: not JSON: {error.msg}") from None
    if not isinstance(row, dict):
        raise DatasetError(f'{where}: expected {{"impath", "label", "classname"}}, found {line!r}')
    for key in row:
        if key not in KEYS:
            raise DatasetError(f'{where}: unknown key "{key}"{did_you_mean(key, KEYS)}')
    split = row.get("split", "train")
    if split not in ("train", "val"):
        raise DatasetError(f'{where}: split is {split!r}, expected "train" or "val"')
    return split, parse_item(row.get("impath"), row.get("label"), row.get("classname"), where)


def _there(item: Item, split: str, known: Mapping[str, Mapping[str, Item]], where: str) -> Item:
    """The data set's own item that a row of a file means."""
    parts = item.impath.split("/")
    endings = ["/".join(parts[start:]) for start in range(len(parts))]
    found = next((known[split][path] for path in endings if path in known[split]), None)
    if found is None:
        other = {"train": "val", "val": "train"}[split]
        hint = f", it is in {other}" if any(path in known[other] for path in endings) else ""
        raise DatasetError(f'{where}: "{item.impath}" is not in the {split} split{hint}')
    if item.label != found.label:
        raise DatasetError(
            f'{where}: "{item.impath}" has label {item.label}, in the data set it has {found.label}'
        )
    return found
