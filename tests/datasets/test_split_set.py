"""Split-file data sets: both naming habits, class names, missing files; and the real ones."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from disk import SHARED, needs, split_file

from harness.datasets import DatasetError, DatasetSpec, load_dataset
from harness.datasets.catalogue import CATALOGUE, SPLIT_SETS, Known
from harness.datasets.draws import draw
from harness.datasets.read_image import read_image
from harness.datasets.split_set import clean

FOLDERS = [(known, folder) for known in SPLIT_SETS for folder in known.folders]


@pytest.mark.parametrize(("known", "folder"), FOLDERS, ids=[folder for _, folder in FOLDERS])
def test_every_set_is_found_under_every_usual_name(
    tmp_path: Path, known: Known, folder: str
) -> None:
    where = tmp_path / folder
    split_file(where / str(known.split_file), where / known.images[0], ["big_cat", "dog"])
    for root in (tmp_path, where):
        data = load_dataset(DatasetSpec(name=known.name, root=str(root)))
        assert data.class_names == ("big cat", "dog")
        assert data.templates == (known.template,)
        assert data.items("train")[0] == ("0/train_0.png", 0, "big_cat")
        (picture,) = data.read(data.items("test")[2:3])
        assert picture.shape == (6, 8, 3) and (picture == 10).all()


def test_root_comes_from_the_environment_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_file(tmp_path / "dtd/split_zhou_DescribableTextures.json", tmp_path / "dtd/images", ["a"])
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert len(load_dataset("dtd").items("train")) == 2
    resolved = DatasetSpec(name="dtd").resolve(tmp_path / "elsewhere")
    monkeypatch.delenv("HARNESS_DATA")
    assert len(load_dataset(resolved).items("train")) == 2
    with pytest.raises(DatasetError, match="set HARNESS_DATA"):
        load_dataset("dtd")


def test_fingerprint_is_the_content_and_missing_files_are_counted(tmp_path: Path) -> None:
    prints = []
    for folder in ("dtd", "DTD"):
        where = tmp_path / folder / folder
        split_file(where / "split_zhou_DescribableTextures.json", where / "images", ["a", "b"])
        spec = DatasetSpec(name="dtd", root=str(tmp_path / folder))
        prints.append(load_dataset(spec).fingerprint)
    assert prints[0] == prints[1]
    (where / "images/0/train_0.png").unlink()
    (where / "images/1/test_1.png").unlink()
    with pytest.raises(DatasetError, match=r"2 of 12 images are missing .*0/train_0.png, 1/test_1"):
        load_dataset(spec).fingerprint  # noqa: B018
    (where / "images/1/val_0.png").write_text("broken")
    data = load_dataset(spec)
    with pytest.raises(DatasetError, match=r"3 of 12 images cannot be read: .*no such image.*; "):
        data.read([*data.items("train"), *data.items("val"), *data.items("test")])


def test_images_are_decoded_side_by_side_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "dtd/images"
    split_file(tmp_path / "dtd/split_zhou_DescribableTextures.json", images, ["a", "b"], 4)
    data = load_dataset(DatasetSpec(name="dtd", root=str(tmp_path)))
    met = threading.Barrier(2, timeout=30)

    def read(path: Path, oriented: bool) -> np.ndarray:
        met.wait()  # two at a time, or not at all
        return read_image(path, oriented)

    monkeypatch.setattr("harness.datasets.file_set.read_image", read)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    items = data.items("train")
    values = [int(picture[0, 0, 0]) for picture in data.read(items)]
    assert values == [0, 1, 2, 3, 10, 11, 12, 13] and len(items) == 8


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    spec = DatasetSpec(name="dtd", root=str(tmp_path))
    with pytest.raises(DatasetError, match=r"no folder for it in .*dtd/, DTD/"):
        load_dataset(spec)
    (tmp_path / "dtd").mkdir()
    with pytest.raises(DatasetError, match=r"no images in .*looked for images/"):
        load_dataset(spec)
    (tmp_path / "dtd/images").mkdir()
    with pytest.raises(DatasetError, match=r"no split file .*DATASETS.md"):
        load_dataset(spec)
    split = tmp_path / "dtd/split_zhou_DescribableTextures.json"
    split.write_text(json.dumps({"train": [["a.jpg", 0, "a"], ["b.jpg", 0, "b"]]}))
    with pytest.raises(DatasetError, match='label 0 is "a" and "b"'):
        load_dataset(spec)
    split.write_text(json.dumps({"train": [["a.jpg", 0, "a"], ["b.jpg", 2, "b"]]}))
    with pytest.raises(DatasetError, match="no item has label 1"):
        load_dataset(spec)
    with pytest.raises(DatasetError, match=r'"dtdd" .did you mean "dtd"'):
        load_dataset("dtdd")


@pytest.mark.parametrize(
    ("dataset", "raw", "name"),
    [
        ("caltech101", "airplanes", "airplane"),
        ("caltech101", "yin_yang", "yin yang"),
        ("eurosat", "AnnualCrop", "Annual Crop Land"),
        ("stanford_cars", "AM General Hummer SUV 2000", "2000 AM General Hummer SUV"),
        ("stanford_cars", "2000 AM General Hummer SUV", "2000 AM General Hummer SUV"),
        ("ucf101", "ApplyEyeMakeup", "Apply Eye Makeup"),
        ("ucf101", "Apply_Eye_Makeup", "Apply Eye Makeup"),
        ("ucf101", "Archery", "Archery"),
        ("food101", "baby_back_ribs", "baby back ribs"),
    ],
)
def test_class_names_are_cleaned(dataset: str, raw: str, name: str) -> None:
    assert clean(dataset, raw) == name
    assert clean(dataset, name) == name


REAL = [
    ("caltech101", "Caltech101"),
    ("dtd", "DescribableTextures"),
    ("oxford_flowers", "OxfordFlowers"),
    ("stanford_cars", "StanfordCars"),
]


@needs("coop")
@pytest.mark.parametrize(("name", "title"), REAL)
def test_real_split_files_give_the_known_sizes_names_and_draws(
    tmp_path: Path, name: str, title: str
) -> None:
    known = CATALOGUE[name]
    (tmp_path / known.folders[0] / known.images[0]).mkdir(parents=True)
    split = SHARED / "coop" / "splits" / f"split_zhou_{title}.json"
    data = load_dataset(DatasetSpec(name=name, root=str(tmp_path), split=str(split)))
    assert {s: len(items) for s, items in data.splits.items()} == known.known_sizes
    names = json.loads((SHARED / "coop" / "classnames.json").read_text())[name]
    assert data.class_names == tuple(n.replace("_", " ") for n in names)
    templates = json.loads((SHARED / "coop" / "templates.json").read_text())["CUSTOM_TEMPLATES"]
    assert data.templates == (templates[title],)
    files = sorted((SHARED / "coop" / "draws" / name).glob("*.json"))
    assert len(files) == 15
    for file in files:
        shots, seed = (int(part.split("_")[1]) for part in file.stem.split("-"))
        ours = draw(data.items("train"), data.items("val"), shots, seed)
        published = json.loads(file.read_text())
        for items, key in ((ours.train, "train"), (ours.val, "val")):
            prefix = "" if known.images[0] == "." else f"{known.images[0]}/"
            assert [[prefix + i.impath, i.label, i.classname] for i in items] == published[key]


@needs("coop")
def test_templates_and_class_counts_are_coops() -> None:
    templates = json.loads((SHARED / "coop" / "templates.json").read_text())["CUSTOM_TEMPLATES"]
    ours = {known.template for known in CATALOGUE.values()}
    assert ours == set(templates.values())
    names = json.loads((SHARED / "coop" / "classnames.json").read_text())
    names["fgvc_aircraft"] = names.pop("fgvc")
    assert {n: CATALOGUE[n].classes for n in names} == {n: len(v) for n, v in names.items()}


@needs("images")
@pytest.mark.parametrize(
    ("name", "title", "images"), [(*REAL[0], "caltech101"), (*REAL[1], "dtd10")]
)
def test_real_images_join_the_real_split(
    tmp_path: Path, name: str, title: str, images: str
) -> None:
    known = CATALOGUE[name]
    (tmp_path / known.folders[0]).mkdir()
    place = tmp_path / known.folders[0] / known.images[0]
    place.symlink_to((SHARED / "images" / images).resolve())
    split = SHARED / "coop" / "splits" / f"split_zhou_{title}.json"
    data = load_dataset(DatasetSpec(name=name, root=str(tmp_path), split=str(split)))
    entries = json.loads((SHARED / "images" / images / "split.json").read_text())
    joined = []
    for entry in [*entries["train"], *entries["test"]]:
        item = data.items(entry["zhou_split"])[entry["zhou_index"]]
        assert (item.impath, item.label) == (entry["path"], entry["zhou_label"])
        joined.append(item)
    assert len(joined) == sum(len(entries[s]) for s in ("train", "test"))
    for picture in data.read(joined[::40]):
        assert picture.ndim == 3 and min(picture.shape[:2]) >= 100
    with pytest.raises(DatasetError, match="images are missing"):
        data.fingerprint  # noqa: B018


@needs("images")
def test_real_flowers_join_the_real_split(tmp_path: Path) -> None:
    (tmp_path / "Flower102" / "jpg").mkdir(parents=True)
    folder = SHARED / "images" / "flowers40"
    entries = json.loads((folder / "split.json").read_text())
    rows = [*entries["train"], *entries["test"]]
    for entry in rows:  # here in class folders, in the original all in jpg/
        link = tmp_path / "Flower102" / "jpg" / Path(entry["path"]).name
        link.symlink_to((folder / entry["path"]).resolve())
    split = SHARED / "coop" / "splits" / "split_zhou_OxfordFlowers.json"
    data = load_dataset(DatasetSpec(name="oxford_flowers", root=str(tmp_path), split=str(split)))
    items = [data.items(e["zhou_split"])[e["zhou_index"]] for e in rows]
    assert [i.impath for i in items] == [Path(e["path"]).name for e in rows]
    assert [data.class_names[i.label] for i in items] == [e["classname"] for e in rows]
    assert len(data.read(items[::40])) == 40
