"""Small data sets on disk in the field's layouts, for the tests of this folder."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(
    os.environ.get("HARNESS_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")
)


def needs(folder: str) -> pytest.MarkDecorator:
    """Skip where the real data of a folder of shared/data is not at hand."""
    reason = f"no shared/data/{folder} (see HARNESS_TEST_DATA)"
    return pytest.mark.skipif(not (SHARED / folder).is_dir(), reason=reason)


def image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)


def split_file(path: Path, images: Path, names: list[str], per_class: int = 2) -> None:
    """A CoOp split file with its images: `per_class` per split and class."""
    splits: dict[str, list[list[object]]] = {}
    for split in ("train", "val", "test"):
        splits[split] = []
        for label, name in enumerate(names):
            for number in range(per_class):
                impath = f"{label}/{split}_{number}.png"
                image(images / impath, 10 * label + number)
                splits[split].append([impath, label, name])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(splits))
