"""A split made of images that lie in class folders only, by a named seed; and its split file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.datasets.dataset import Dataset, DatasetError


class MadeSplit(BaseModel):
    """A split to be made: of every class's images, `test` and `val` are set aside, the rest is the
    training pool that draws are made of."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True
    )

    seed: int = Field(ge=0)
    """Which images go where follows from this, the images' paths and nothing else."""
    test: float = Field(default=0.3, gt=0, lt=1)
    """The part of each class that is tested on, rounded; at least one image."""
    val: float = Field(default=0.2, ge=0, lt=1)
    """The part of each class for validation; at least one image, none at 0."""

    @model_validator(mode="after")
    def _leaves_some(self) -> MadeSplit:
        if self.test + self.val >= 1:
            raise ValueError(f"test {self.test:g} and val {self.val:g} leave nothing to train on")
        return self

    def __str__(self) -> str:
        return f"made by seed {self.seed}: {self.val:.0%} of each class val, {self.test:.0%} test"


def make_split(
    where: str, images: Mapping[str, Sequence[str]], split: MadeSplit
) -> dict[str, dict[str, list[str]]]:
    """By split and class folder, the images in sorted order.

    An image's place in its class's shuffle is the SHA-256 of seed and path, so that adding a class
    moves no image of another.

    Raises:
        DatasetError: a class has too few images to be in every split.
    """
    keys = ("test", "val", "train") if split.val else ("test", "train")
    made: dict[str, dict[str, list[str]]] = {key: {} for key in sorted(keys, key=_ORDER.index)}
    for name, paths in images.items():
        if len(paths) < len(keys):
            raise DatasetError(
                f"{where}: the class {name} has {len(paths)} image(s), too few for a split into "
                f"{', '.join(made)}: add images, or leave the folder out"
            )
        shuffled = sorted(paths, key=lambda path: _rank(split.seed, f"{name}/{path}"))
        test = max(1, round(split.test * len(paths)))
        val = max(1, round(split.val * len(paths))) if split.val else 0
        test = min(test, len(paths) - 1 - val)
        parts = {"test": shuffled[:test], "val": shuffled[test : test + val]}
        parts["train"] = shuffled[test + val :]
        for key in keys:
            made[key][name] = sorted(parts[key])
    return made


_ORDER = ("train", "val", "test")


def _rank(seed: int, path: str) -> str:
    return hashlib.sha256(f"{seed} {path}".encode()).hexdigest()


def split_json(data: Dataset) -> str:
    """The data set's split as a `split.json`, which reads back as the same data set."""
    content: dict[str, Any] = {
        "classnames": list(data.class_names),
        "template": data.templates[0],
        **{s: [[i.impath, i.label, i.classname] for i in i_s] for s, i_s in data.splits.items()},
    }
    return json.dumps(content, indent=0, ensure_ascii=False)
