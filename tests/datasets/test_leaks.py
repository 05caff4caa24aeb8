"""Images that stand in two splits: refused by path, counted by content."""

import json
import shutil
from pathlib import Path

import pytest
from disk import image

from harness.datasets import Dataset, DatasetError, DatasetSpec, load_dataset
from harness.datasets.reading import read_as


@pytest.fixture
def root(tmp_path: Path) -> Path:
    grey = iter(range(100))
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            for number in range(3):
                image(tmp_path / split / name / f"{number}.png", next(grey))
    return tmp_path


def load(root: Path) -> Dataset:
    return load_dataset(DatasetSpec(name="set", kind="folder", root=str(root)))


def rows(*paths: str) -> list[list[object]]:
    return [[path, "ab".index(path.split("/")[-2]), path.split("/")[-2]] for path in paths]


@pytest.mark.parametrize(("one", "two"), [("train", "test"), ("val", "test"), ("train", "val")])
def test_one_path_in_two_splits_is_refused(root: Path, one: str, two: str) -> None:
    splits = {s: rows(f"{s}/a/0.png", f"{s}/b/1.png") for s in ("train", "val", "test")}
    splits[two] = rows(f"{two}/a/0.png", f"./{one}/b/1.png")
    (root / "split.json").write_text(json.dumps({"classnames": ["a", "b"], **splits}))
    with pytest.raises(DatasetError, match=rf"1 images are in {one} and in {two}"):
        load(root)


def test_one_path_with_two_labels_is_refused(root: Path) -> None:
    test = [["test/a/0.png", 0, "a"], ["test/a/0.png", 1, "b"]]
    (root / "split.json").write_text(json.dumps({"classnames": ["a", "b"], "test": test}))
    with pytest.raises(DatasetError, match=r"test/a/0.png is in test with the labels 0 and 1"):
        load(root)


def test_copies_are_counted_and_named(root: Path) -> None:
    assert read_as(load(root)).warnings == ()
    shutil.copy(root / "test/a/0.png", root / "train/a/copy.png")
    shutil.copy(root / "test/b/2.png", root / "train/b/copy.png")
    shutil.copy(root / "val/b/2.png", root / "train/b/other.png")
    warnings = read_as(load(root)).warnings
    assert warnings == (
        "1 of 6 val images have the content of train images (val/b/2.png = train/b/other.png)",
        "2 of 6 test images have the content of train images (test/a/0.png = train/a/copy.png)",
    )


def test_one_picture_under_two_labels_is_warned_of(root: Path) -> None:
    shutil.copy(root / "test/a/0.png", root / "test/b/copy.png")
    assert read_as(load(root)).warnings == (
        "1 images have the content of one of another class (test/a/0.png = test/b/copy.png)",
    )
