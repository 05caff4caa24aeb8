"""One's own images: a split made by a seed, exported and checked."""

from pathlib import Path

import pytest
from disk import image

from harness.datasets import DatasetError, DatasetSpec, load_dataset
from harness.datasets.fetch.own import check_own, own_spec
from harness.datasets.made_split import split_json


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label, name in enumerate("ab"):
        for number in range(10):
            image(tmp_path / "set" / name / f"{number}.png", 10 * label + number)
    return tmp_path / "set"


def test_a_made_split_is_a_partition_follows_from_its_seed_and_reads_back(root: Path) -> None:
    def made(seed: int) -> DatasetSpec:
        return DatasetSpec(name="set", kind="folder", root=str(root), split={"seed": seed})

    data = load_dataset(made(1))
    assert {s: len(items) for s, items in data.splits.items()} == {"train": 10, "val": 4, "test": 6}
    paths = [item.impath for items in data.splits.values() for item in items]
    assert len(set(paths)) == len(paths) == 20
    assert load_dataset(made(1)).fingerprint == data.fingerprint
    assert load_dataset(made(2)).fingerprint != data.fingerprint
    (root / "split.json").write_text(split_json(data))
    written = DatasetSpec(name="set", kind="folder", root=str(root))
    assert load_dataset(written).fingerprint == data.fingerprint


def test_a_class_too_small_to_split_is_named(root: Path) -> None:
    image(root / "c" / "1.png", 90)
    with pytest.raises(DatasetError, match=r"the class c has 1 image.s., too few"):
        load_dataset(DatasetSpec(name="s", kind="folder", root=str(root), split={"seed": 1}))


def test_a_folder_of_ones_own_is_checked(root: Path) -> None:
    lines, right = check_own(own_spec(root), decode=True, near=None)
    assert right and lines[0] == "set: 2 classes; images: test 20" and "  a: test 10" in lines
    (root / "a" / "0.png").write_text("broken")
    lines, right = check_own(own_spec(root), decode=True, near=None)
    assert not right and any("cannot be read" in line and "a/0.png" in line for line in lines)
