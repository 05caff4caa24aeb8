"""Aircraft, the ImageNets and plain class folders."""

import dataclasses
import json
from pathlib import Path

import pytest
from disk import SHARED, image, needs

from harness.datasets import DatasetError, DatasetSpec, load_dataset
from harness.datasets.catalogue import CATALOGUE
from harness.datasets.columns import columns_of
from harness.datasets.imagenet import load_imagenet, load_variant


def aircraft(root: Path) -> DatasetSpec:
    folder = root / "fgvc_aircraft"
    for number in range(1, 7):
        image(folder / "images" / f"{number}.jpg")
    (folder / "variants.txt").write_text("707-320\nA380\n")
    for split, first in (("train", 1), ("val", 3), ("test", 5)):
        lines = f"{first + 1} 707-320\n{first} A380\n"
        (folder / f"images_variant_{split}.txt").write_text(lines)
    return DatasetSpec(name="fgvc_aircraft", root=str(root))


def test_aircrafts_labels_are_lines_of_variants(tmp_path: Path) -> None:
    data = load_dataset(aircraft(tmp_path))
    assert data.items("val") == (("4.jpg", 0, "707-320"), ("3.jpg", 1, "A380"))
    assert data.templates == ("a photo of a {}, a type of aircraft.",)
    assert len(data.read(data.items("test"))) == 2 and data.fingerprint
    (tmp_path / "fgvc_aircraft" / "images_variant_val.txt").write_text("2 707-320\n1 A38\n")
    with pytest.raises(DatasetError, match=r'val.txt:2: "A38" .*did you mean "A380"'):
        load_dataset(DatasetSpec(name="fgvc_aircraft", root=str(tmp_path)))


NAMES = "n02 goldfish\nn01 tench\nn03 white shark\n"


def imagenet(root: Path, folder: str = "imagenet/images") -> None:
    for split, count in (("train", 3), ("val", 2)):
        for wordnet_id in ("n01", "n02", "n03"):
            for number in range(count):
                image(root / folder / split / wordnet_id / f"{wordnet_id}_{9 - number}.JPEG")
    (root / "imagenet" / "classnames.txt").write_text(NAMES)


@pytest.mark.parametrize("folder", ["imagenet/images", "imagenet"])
def test_imagenet_in_both_layouts_sorted(tmp_path: Path, folder: str) -> None:
    imagenet(tmp_path, folder)
    known = dataclasses.replace(CATALOGUE["imagenet"], classes=3)
    data = load_imagenet(known, tmp_path)
    assert data.class_names == ("tench", "goldfish", "white shark")
    assert [i.impath for i in data.items("train")[:3]] == [
        "train/n01/n01_7.JPEG",
        "train/n01/n01_8.JPEG",
        "train/n01/n01_9.JPEG",
    ]
    assert len(data.items("test")) == 6 and "val" not in data.splits
    assert len(data.read(data.items("test"))) == 6 and data.fingerprint
    with pytest.raises(DatasetError, match=r"3 class folders in .* expected 1000"):
        load_dataset(DatasetSpec(name="imagenet", root=str(tmp_path)))


def test_variants_keep_their_own_classes(tmp_path: Path) -> None:
    imagenet(tmp_path)
    for wordnet_id in ("n01", "n03"):
        image(tmp_path / "imagenet-rendition/imagenet-r" / wordnet_id / "x.jpg")
    known = dataclasses.replace(CATALOGUE["imagenet_r"], classes=2)
    data = load_variant(known, tmp_path)
    assert data.class_names == ("tench", "white shark") and list(data.splits) == ["test"]
    assert data.items("test")[1] == ("n03/x.jpg", 1, "white shark")
    (tmp_path / "imagenet" / "classnames.txt").write_text("n01 tench\n")
    with pytest.raises(DatasetError, match=r"classnames.txt: no name for n03"):
        load_variant(known, tmp_path)
    (tmp_path / "imagenet" / "classnames.txt").unlink()
    with pytest.raises(DatasetError, match=r"no classnames.txt in .* or in imagenet/ beside it"):
        load_variant(known, tmp_path)


def test_variants_find_their_classes_in_imagenet_though_two_have_one_name(tmp_path: Path) -> None:
    imagenet(tmp_path)
    (tmp_path / "imagenet" / "classnames.txt").write_text("n01 missile\nn02 tench\nn03 missile\n")
    for wordnet_id in ("n02", "n03"):
        image(tmp_path / "imagenet-rendition/imagenet-r" / wordnet_id / "x.jpg")
    for label in range(3):
        image(tmp_path / "imagenetv2/imagenetv2-matched-frequency-format-val" / f"{label}/x.jpeg")
    source = load_imagenet(dataclasses.replace(CATALOGUE["imagenet"], classes=3), tmp_path)
    some = load_variant(dataclasses.replace(CATALOGUE["imagenet_r"], classes=2), tmp_path)
    every = load_variant(dataclasses.replace(CATALOGUE["imagenet_v2"], classes=3), tmp_path)
    assert columns_of(some, source) == (1, 2)
    assert columns_of(every, source) == (0, 1, 2)
    by_name = dataclasses.replace(some, class_ids=())
    assert columns_of(by_name, source) is None, "which missile?"


def test_imagenet_v2s_folders_are_labels(tmp_path: Path) -> None:
    imagenet(tmp_path)
    for label in range(3):
        image(tmp_path / "imagenetv2/imagenetv2-matched-frequency-format-val" / f"{label}/x.jpeg")
    known = dataclasses.replace(CATALOGUE["imagenet_v2"], classes=3)
    data = load_variant(known, tmp_path)
    assert [(i.impath, i.classname) for i in data.items("test")] == [
        ("0/x.jpeg", "tench"),
        ("1/x.jpeg", "goldfish"),
        ("2/x.jpeg", "white shark"),
    ]


def folder_spec(root: Path) -> DatasetSpec:
    return DatasetSpec(name="mine", kind="folder", root=str(root))


def test_class_folders_with_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("red_kite", "blue_tit"):
            image(tmp_path / split / name / "1.png")
    data = load_dataset(folder_spec(tmp_path))
    assert data.name == "mine" and data.class_names == ("blue tit", "red kite")
    assert data.items("train")[1] == ("train/red_kite/1.png", 1, "red kite")
    image(tmp_path / "test" / "robin" / "1.png")
    with pytest.raises(DatasetError, match=r"not every split of .* has the class robin"):
        load_dataset(folder_spec(tmp_path))


def test_class_folders_without_splits_are_for_evaluation(tmp_path: Path) -> None:
    image(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    data = load_dataset(folder_spec(tmp_path))
    assert {s: len(items) for s, items in data.splits.items()} == {"test": 1}
    with pytest.raises(DatasetError, match="no class folders"):
        load_dataset(folder_spec(tmp_path / "a"))
    with pytest.raises(DatasetError, match="no folder"):
        load_dataset(folder_spec(tmp_path / "b"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", ":1: not JSON"),
        ("[]", "expected an object"),
        ('{"classnames": []}', '"classnames" is not a list'),
        ('{"classnames": ["a"]}', 'missing key "test"'),
        (
            '{"classnames": ["a"], "test": [["a.png", 1, "a"]]}',
            r"test\[0\]: label is 1, there are 1",
        ),
        ('{"classnames": ["a"], "test": [{"path": "a.png"}]}', r"test\[0\]: label is None"),
    ],
)
def test_a_bad_split_json_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder_spec(tmp_path))


@needs("images")
@pytest.mark.parametrize(
    "name",
    [
        "caltech101",
        "cifar10",
        "clothing10",
        "dtd10",
        "flowers40",
        "food10",
        "pacs_art_painting",
        "pacs_photo",
        "signdigits10",
        "ucmerced",
    ],
)
def test_real_class_folders(name: str) -> None:
    root = SHARED / "images" / name
    data = load_dataset(DatasetSpec(name=name, kind="folder", root=str(root)))
    written = json.loads((root / "split.json").read_text())
    assert data.class_names == tuple(written["classnames"])
    assert data.templates == (written["template"],)
    assert {s: len(i) for s, i in data.splits.items()} == {
        s: len(written[s]) for s in ("train", "test")
    }
    assert len(data.fingerprint) == 64
    for picture in data.read(data.items("test")[:: max(1, len(data.items("test")) // 10)]):
        assert picture.shape[2] == 3
