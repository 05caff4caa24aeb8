"""The frozen arrays of the embedded data sets."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import harness.datasets.embedded as embedded
from harness.datasets.embedded.generate import handwritten_digits, image_seed
from harness.datasets.embedded.recipes import RECIPES

FOLDER = Path(embedded.__file__).parent
INDEX: dict[str, dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
FEW_SHOT = sorted(set(INDEX) - {"glyph_names"})


def arrays_of(name: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", sorted(INDEX))
def test_file_is_the_indexed_one(name: str) -> None:
    found = hashlib.sha256((FOLDER / f"{name}.npz").read_bytes()).hexdigest()
    assert found == INDEX[name]["sha256"]
    assert {"class_names", "template", "description", "source", "licence"} <= set(INDEX[name])
    assert "{}" in INDEX[name]["template"]


@pytest.mark.parametrize("name", sorted(INDEX))
def test_images_are_rgb_and_none_appears_twice(name: str) -> None:
    arrays = arrays_of(name)
    images = [image for key in arrays if key.endswith("_x") for image in arrays[key]]
    assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in images)
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("name", FEW_SHOT)
def test_every_class_has_its_images(name: str) -> None:
    arrays, classes = arrays_of(name), len(INDEX[name]["class_names"])
    assert 10 <= classes <= 35
    for split, least in {"train": 24, "val": 4, "test": 20}.items():
        counts = np.bincount(arrays[f"{split}_y"], minlength=classes)
        assert len(counts) == classes
        assert counts.min() >= least
        assert len(arrays[f"{split}_x"]) == len(arrays[f"{split}_y"])


def test_retention_set_is_a_hundred_way_at_least() -> None:
    names = INDEX["glyph_names"]["class_names"]
    assert len(set(names)) == len(names) >= 100
    assert set(arrays_of("glyph_names")) == {"test_x", "test_y"}


def test_at_least_five_few_shot_sets_of_at_most_15_megabytes() -> None:
    assert len(FEW_SHOT) >= 5
    assert sum((FOLDER / f"{name}.npz").stat().st_size for name in INDEX) <= 15_000_000


def test_class_names_are_the_recipes() -> None:
    for recipe in RECIPES:
        assert INDEX[recipe.name]["class_names"] == recipe.class_names
        assert len(set(recipe.class_names)) == len(recipe.chars)


def test_every_image_has_a_seed_of_its_own() -> None:
    seeds = {
        image_seed(1, "letters", s, c, i) for s in ("train", "test") for c in "ab" for i in "01"
    }
    assert len(seeds) == 8


def test_digits_are_drawn_again_the_same() -> None:
    drawn, kept = handwritten_digits(), arrays_of("digits")
    assert all(np.array_equal(drawn[key], kept[key]) for key in kept)
