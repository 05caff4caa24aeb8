"""Few-shot draws: samplers, content identity, export and import.

A draw is identified by its content (paths and labels), never by its seed alone: "seed 1" in two
papers is not the same data.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.datasets.dataset import DatasetError, Item
from harness.datasets.split_file import parse_item, read_split
from harness.errors import did_you_mean

__all__ = ["SAMPLERS", "Episode", "content_id", "draw", "read_split", "to_json_lines"]

VAL_SHOTS = 4
"""CoOp's few-shot validation set has min(shots, 4) images per class."""


@dataclass(frozen=True)
class Episode:
    """One few-shot draw, in drawing order."""

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    sampler: str
    seed: int

    @cached_property
    def id(self) -> str:
        """Content identity of the support set: SHA-256 (hex), the same in any order."""
        return content_id(self.train)

    @cached_property
    def val_id(self) -> str:
        """Content identity of the few-shot validation set."""
        return content_id(self.val)


def content_id(items: Sequence[Item]) -> str:
    """SHA-256 (hex) of the sorted (path, label) pairs, repetitions included."""
    pairs = sorted((item.impath, item.label) for item in items)
    return hashlib.sha256(json.dumps(pairs, separators=(",", ":")).encode()).hexdigest()


def draw(
    train_items: Sequence[Item],
    val_items: Sequence[Item],
    shots: int,
    seed: int,
    sampler: str = "coop",
) -> Episode:
    """Draw `shots` training and min(shots, 4) validation images per class.

    Samplers: `coop` and `clip_lora` (see the functions), and `file:PATH`, a draw in JSON Lines as
    `to_json_lines` writes it; `{shots}` and `{seed}` in PATH are filled in.

    Raises:
        DatasetError: unknown sampler, no training items, shots below 1, or a draw file that is
            malformed or does not fit the data set (the message names file and line).
    """
    if shots < 1:
        raise DatasetError(f"shots is {shots}, expected at least 1")
    if not train_items:
        raise DatasetError("there are no training items to draw from")
    if sampler.startswith("file:"):
        path = sampler[5:].replace("{shots}", str(shots)).replace("{seed}", str(seed))
        train, val = _read_draw(Path(path), train_items, val_items, shots)
    elif sampler in SAMPLERS:
        train, val = SAMPLERS[sampler](train_items, val_items, shots, random.Random(seed))
    else:
        hint = did_you_mean(sampler, SAMPLERS)
        raise DatasetError(f'unknown sampler "{sampler}"{hint}; or use "file:PATH"')
    return Episode(tuple(train), tuple(val), sampler, seed)


def to_json_lines(episode: Episode) -> str:
    """One `{"split", "impath", "label", "classname"}` per line: train, then val, in order."""
    rows = [("train", item) for item in episode.train] + [("val", item) for item in episode.val]
    return "".join(
        json.dumps({"split": split, **item._asdict()}, ensure_ascii=False) + "\n"
        for split, item in rows
    )


def coop(
    train: Sequence[Item], val: Sequence[Item], shots: int, rng: random.Random
) -> tuple[list[Item], list[Item]]:
    """CoOp's draw: train first, then val with the same generator.

    A class with fewer items than asked for gives all of them, in order. Source: KaiyangZhou's
    Dassl.pytorch; reproduces the published draws file for file.
    """

    def sample(items: list[Item], count: int) -> list[Item]:
        return rng.sample(items, count) if len(items) >= count else items

    support = [item for group in _by_class(train) for item in sample(group, shots)]
    few = min(shots, VAL_SHOTS)
    return support, [item for group in _by_class(val) for item in sample(group, few)]


def clip_lora(
    train: Sequence[Item], val: Sequence[Item], shots: int, rng: random.Random
) -> tuple[list[Item], list[Item]]:
    """CLIP-LoRA's draw: val first, then train with the same generator.

    A class with fewer items than asked for is sampled with replacement. Source:
    MaxZanella/CLIP-LoRA.
    """

    def sample(items: list[Item], count: int) -> list[Item]:
        return rng.sample(items, count) if len(items) >= count else rng.choices(items, k=count)

    few = min(shots, VAL_SHOTS)
    validation = [item for group in _by_class(val) for item in sample(group, few)]
    return [item for group in _by_class(train) for item in sample(group, shots)], validation


Sampler = Callable[
    [Sequence[Item], Sequence[Item], int, random.Random], tuple[list[Item], list[Item]]
]
SAMPLERS: dict[str, Sampler] = {"coop": coop, "clip_lora": clip_lora}


def _by_class(items: Sequence[Item]) -> list[list[Item]]:
    """Items grouped by label, groups in the order of first appearance."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(item.label, []).append(item)
    return list(groups.values())


def _read_draw(
    path: Path, train_items: Sequence[Item], val_items: Sequence[Item], shots: int
) -> tuple[list[Item], list[Item]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DatasetError(f"{path}: cannot be read: {reason}") from None
    known = {item.impath: item for item in [*train_items, *val_items]}
    drawn: dict[str, list[Item]] = {"train": [], "val": []}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            split, item = _parse_line(line, f"{path}:{number}", known)
            drawn[split].append(item)
    if not drawn["train"]:
        raise DatasetError(f"{path}: no training image in it")
    most, images = Counter(item.label for item in drawn["train"]).most_common(1)[0]
    there = sum(item.label == most for item in train_items)
    if images not in (shots, min(shots, there)):  # a small class may have given all it has
        name = next(item.classname for item in drawn["train"] if item.label == most)
        raise DatasetError(
            f'{path}: {images} training images of class "{name}", but the shots asked for are '
            f"{shots}: give the draw's own number of shots"
        )
    return drawn["train"], drawn["val"]


def _parse_line(line: str, where: str, known: dict[str, Item]) -> tuple[str, Item]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{where}: not JSON: {error.msg}") from None
    if not isinstance(row, dict):
        raise DatasetError(f'{where}: expected {{"impath", "label", "classname"}}, found {line!r}')
    for key in row:
        if key not in ("split", "impath", "label", "classname"):
            hint = did_you_mean(key, ("split", "impath", "label", "classname"))
            raise DatasetError(f'{where}: unknown key "{key}"{hint}')
    split = row.get("split", "train")
    if split not in ("train", "val"):
        raise DatasetError(f'{where}: split is {split!r}, expected "train" or "val"')
    item = parse_item(row.get("impath"), row.get("label"), row.get("classname"), where)
    if item.impath not in known:
        raise DatasetError(f'{where}: "{item.impath}" is not in the train or val split')
    if item.label != known[item.impath].label:
        raise DatasetError(
            f'{where}: "{item.impath}" has label {item.label}, '
            f"in the data set it has {known[item.impath].label}"
        )
    return split, item
