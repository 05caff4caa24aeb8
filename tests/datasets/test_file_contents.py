"""A data set of files is the content of its files: whatever stays the same but the bytes."""

import os
from pathlib import Path

import pytest
from disk import image
from PIL import Image

from harness.datasets import Dataset, DatasetSpec, load_dataset
from harness.datasets import file_contents as module
from harness.datasets.file_contents import file_contents
from harness.datasets.reading import read_as


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "harness" / "images"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, path in enumerate(("train/a/1", "train/b/1", "test/a/1", "test/b/1")):
        image(tmp_path / "set" / f"{path}.bmp", number)
    return tmp_path / "set"


def load(root: Path, **options: object) -> Dataset:
    return load_dataset(DatasetSpec(name="set", kind="folder", root=str(root), **options))


def age(root: Path) -> None:
    """As if the files had lain there for a day."""
    for file in root.rglob("*.bmp"):
        os.utime(file, (1e9, 1e9))


def old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_YOUNG", -1)


def swap(one: Path, two: Path) -> None:
    between = one.with_name("between")
    for source, target in ((one, between), (two, one), (between, two)):
        os.rename(source, target)


def test_files_of_one_size_that_change_places_are_another_data_set(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(monkeypatch)
    age(root)
    before = load(root).fingerprint
    assert load(root).fingerprint == before
    swap(root / "test/a/1.bmp", root / "test/b/1.bmp")
    after = load(root).fingerprint
    assert after != before
    swap(root / "test/a/1.bmp", root / "test/b/1.bmp")
    assert load(root).fingerprint == before


def test_a_byte_changed_in_place_with_the_time_put_back_is_another_data_set(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(monkeypatch)
    age(root)
    before = load(root).fingerprint
    with (root / "train/a/1.bmp").open("r+b") as file:
        file.seek(60)
        file.write(b"\7")
    age(root)
    assert load(root).fingerprint != before


def test_a_file_is_read_once(root: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ["train/a/1.bmp", "test/b/1.bmp"]
    read: list[Path] = []
    plain = Path.read_bytes

    def spy(path: Path) -> bytes:
        read.extend([path] if path.suffix == ".bmp" else [])
        return plain(path)

    monkeypatch.setattr(Path, "read_bytes", spy)
    first = file_contents(root, paths)
    assert len(read) == 2 and not memory.exists(), "a file of this moment may change unseen"
    old(monkeypatch)
    assert file_contents(root, paths) == first and len(read) == 4
    assert file_contents(root, paths) == first and len(read) == 4
    os.utime(root / paths[0])
    assert file_contents(root, paths) == first and len(read) == 5
    for file in memory.iterdir():
        file.write_text("damaged")
    assert file_contents(root, paths) == first and len(read) == 7


def test_a_missing_file_has_no_content(root: Path) -> None:
    assert file_contents(root, ["train/a/2.bmp", "nowhere/1.bmp"]) == {
        "train/a/2.bmp": None,
        "nowhere/1.bmp": None,
    }


def test_the_orientation_is_said_and_applying_it_is_another_data_set(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6), (1, 2, 3)).save(root / "test/a/2.jpg", exif=exif)
    data, turned = load(root), load(root, oriented=True)
    assert "1 images have an EXIF orientation: not applied" in read_as(data).notes[0]
    assert "it is applied" in read_as(turned).notes[0]
    assert data.fingerprint != turned.fingerprint
    (item,) = [item for item in data.items("test") if item.impath.endswith("2.jpg")]
    assert data.read([item])[0].shape == (6, 8, 3)
    assert turned.read([item])[0].shape == (8, 6, 3)
