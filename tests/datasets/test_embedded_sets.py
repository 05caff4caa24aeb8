"""The loader of embedded data sets, on arrays made here."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import DatasetError, DatasetSpec, load_dataset
from harness.datasets.embedded_sets import load_embedded


def embed(folder: Path, name: str = "tiny", seed: int = 0, **arrays: np.ndarray) -> None:
    rng = np.random.default_rng(seed)
    if not arrays:
        for split, count in (("train", 6), ("val", 4), ("test", 8)):
            arrays[f"{split}_x"] = rng.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8)
            arrays[f"{split}_y"] = np.arange(count) % 2
    path = folder / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    index = folder / "index.json"
    entries = json.loads(index.read_text()) if index.exists() else {}
    entries[name] = {
        "class_names": ["ace of spades", "joker"],
        "template": "a photo of a {}.",
        "description": "cards",
        "source": "drawn",
        "licence": "none needed",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    index.write_text(json.dumps(entries))


def test_items_and_pixels(tmp_path: Path) -> None:
    embed(tmp_path)
    data = load_embedded("tiny", tmp_path)
    assert {split: len(items) for split, items in data.splits.items()} == {
        "train": 6,
        "val": 4,
        "test": 8,
    }
    item = data.items("train")[3]
    assert item == ("train/00003", 1, "joker") and data.has_pixels
    arrays = np.load(tmp_path / "tiny.npz")
    (image, other) = data.read([item, data.items("test")[0]])
    assert np.array_equal(image, arrays["train_x"][3]) and image.dtype == np.uint8
    assert np.array_equal(other, arrays["test_x"][0])
    with pytest.raises(DatasetError, match="no image"):
        data.read([item._replace(impath="train/00099")])


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1)])
def test_grey_images_become_rgb(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = np.arange(128, dtype=np.uint8).reshape(shape)
    embed(tmp_path, test_x=grey, test_y=np.array([0, 1]))
    data = load_embedded("tiny", tmp_path)
    image = data.read(data.items("test"))[1]
    assert image.shape == (8, 8, 3)
    assert all(np.array_equal(image[..., c], grey.reshape(2, 8, 8)[1]) for c in range(3))
    with pytest.raises(DatasetError, match=r'no "train" split .* use it as a retention set'):
        data.items("train")


def test_fingerprint_is_the_content_not_the_name(tmp_path: Path) -> None:
    embed(tmp_path, "one")
    embed(tmp_path, "two")
    embed(tmp_path, "three", seed=1)
    one, two, three = (load_embedded(n, tmp_path).fingerprint for n in ("one", "two", "three"))
    assert one == two != three


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    embed(tmp_path)
    path = tmp_path / "tiny.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DatasetError, match=r"tiny.npz: SHA-256 is .* damaged"):
        load_embedded("tiny", tmp_path)
    path.unlink()
    with pytest.raises(DatasetError, match=r"tiny.npz: cannot be read"):
        load_embedded("tiny", tmp_path)


def test_wrong_labels_and_names_are_refused(tmp_path: Path) -> None:
    embed(tmp_path, test_x=np.zeros((1, 8, 8), np.uint8), test_y=np.array([2]))
    with pytest.raises(DatasetError, match="test_y has label 2, there are 2 classes"):
        load_embedded("tiny", tmp_path)
    with pytest.raises(DatasetError, match='unknown data set "no-such-set"'):
        load_dataset("no-such-set")


PLUGIN = """
from dataclasses import dataclass
import numpy as np
from harness.datasets import Dataset, Item

@dataclass(frozen=True, kw_only=True, eq=False)
class Stripes(Dataset):
    fingerprint = "stripes-1"

    def read(self, items):
        return [np.full((8, 8, 3), 9, np.uint8) for _ in items]

def stripes(spec):
    count = spec.options.get("count", 1)
    items = tuple(Item(str(n), 0, "stripe") for n in range(count))
    return Stripes(name="x", class_names=("stripe",), templates=("a {}.",), splits={"test": items})

def wrong(spec):
    return 3
"""


def test_a_third_partys_data_set(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    spec = DatasetSpec.model_validate(
        {"name": "stripes", "uses": "mine.py:stripes", "options": {"count": 3}}
    )
    data = load_dataset(spec.resolve(tmp_path))
    assert data.name == "stripes" and len(data.items("test")) == 3
    assert data.read(data.items("test"))[2].shape == (8, 8, 3)
    with pytest.raises(DatasetError, match="returned int"):
        load_dataset(f"{file}:wrong")
    templated = DatasetSpec(name=f"{file}:stripes", templates=("see {}",))
    assert load_dataset(templated).templates == ("see {}",)
