"""Draw the embedded data sets: `python -m harness.datasets.embedded.generate [--out FOLDER]`.

The same seed gives the same files, byte for byte. Every image has a generator of its own, addressed
by (seed, data set, split, class, number), so no image depends on how many others there are.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from harness.backbones.glyphs.fonts import build_bank, masks_of
from harness.backbones.glyphs.render import generator_for, render
from harness.datasets.embedded.recipes import AUGMENT, RECIPES, Recipe, retention_recipe

SEED: Final = 20260
_LEVELS: Final = 31  # images are kept in 32 levels a channel, which compress well

Arrays = dict[str, NDArray[Any]]


def image_seed(seed: int, *address: object) -> int:
    """63 bits from the data set's seed and the image's address."""
    text = "/".join(map(str, (seed, *address)))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") >> 1


def draw_image(masks: NDArray[np.uint8], recipe: Recipe, seed: int) -> NDArray[np.uint8]:
    """One image (32, 32, 3) uint8 of a random one of `masks` (faces, 48, 48)."""
    g = generator_for(seed)
    face = int(torch.randint(len(masks), (1,), generator=g))
    image = render(torch.from_numpy(masks[face : face + 1]), recipe.distortion, g)[0]
    levels = (image * _LEVELS).round() * (255 / _LEVELS)
    return np.ascontiguousarray(levels.round().byte().permute(1, 2, 0).numpy())


def draw_dataset(recipe: Recipe, seed: int = SEED) -> Arrays:
    """All splits of one rendered data set, class by class."""
    masks = masks_of(recipe.chars, recipe.faces)
    arrays: Arrays = {}
    for split, count in recipe.splits.items():
        images, labels = [], []
        for label, char in enumerate(recipe.chars):
            for number in range(count):
                address = image_seed(seed, recipe.name, split, label, number)
                images.append(draw_image(masks[char], recipe, address))
                labels.append(label)
        arrays[f"{split}_x"] = np.stack(images)
        arrays[f"{split}_y"] = np.array(labels, dtype=np.int64)
    return arrays


def handwritten_digits(seed: int = SEED, test_per_class: int = 60) -> Arrays:
    """scikit-learn's 8x8 digits as (n, 32, 32, 3); per class 24 train, 4 val, at most 60 test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    small, first = np.unique(data.images.astype(np.uint8), axis=0, return_index=True)
    order = np.argsort(first)
    small, digits = small[order], data.target[first[order]]
    shuffled = np.random.default_rng(seed).permutation(len(small))
    big = F.interpolate(
        torch.from_numpy(small)[:, None].float() / 16, size=32, mode="bicubic", align_corners=False
    )
    grey = (big.clamp(0, 1) * _LEVELS).round() * (255 / _LEVELS)
    images = grey.round().byte().permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    arrays: Arrays = {}
    bounds = {"train": (0, 24), "val": (24, 28), "test": (28, 28 + test_per_class)}
    for split, (start, stop) in bounds.items():
        rows = [shuffled[digits[shuffled] == digit][start:stop] for digit in range(10)]
        arrays[f"{split}_x"] = images[np.concatenate(rows)]
        arrays[f"{split}_y"] = np.repeat(np.arange(10), [len(r) for r in rows]).astype(np.int64)
    return arrays


def write_dataset(folder: Path, name: str, arrays: Arrays) -> str:
    """Write `<name>.npz` without pickle; returns its SHA-256."""
    path = folder / f"{name}.npz"
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def generate(folder: Path, only: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Draw all data sets (or those named in `only`) into `folder`; returns the index."""
    folder.mkdir(parents=True, exist_ok=True)
    index_path = folder / "index.json"
    index = (
        json.loads(index_path.read_text(encoding="utf-8")) if only and index_path.exists() else {}
    )
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    if not only or "digits" in only:
        index["digits"] = {
            "class_names": [f"digit {word}" for word in words],
            "template": "a photo of a {}.",
            "augment": AUGMENT,
            "description": "Real handwritten digits, 8x8 pixels enlarged to 32x32",
            "source": "scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits)",
            "licence": "CC BY 4.0 (UCI); shipped with scikit-learn",
            "seed": SEED,
            "sha256": write_dataset(folder, "digits", handwritten_digits()),
        }
    for recipe in (*RECIPES, retention_recipe(build_bank())):
        if only and recipe.name not in only:
            continue
        index[recipe.name] = {
            "class_names": recipe.class_names,
            "template": recipe.template,
            "augment": AUGMENT,
            "description": recipe.description,
            "source": recipe.source,
            "licence": recipe.licence,
            "seed": SEED,
            "sha256": write_dataset(folder, recipe.name, draw_dataset(recipe)),
        }
    index_path.write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return index


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files and say what they weigh."""
    parser = argparse.ArgumentParser(prog="generate", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    asked = parser.parse_args(arguments)
    for name, entry in generate(asked.out, asked.only).items():
        size = (asked.out / f"{name}.npz").stat().st_size
        print(f"{name}: {len(entry['class_names'])} classes, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
