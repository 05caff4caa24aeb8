"""Class folders are never read as something else silently: every kind of stray, by one property."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from disk import image

from harness.datasets import Dataset, DatasetError, DatasetSpec, load_dataset
from harness.datasets.reading import read_as
from harness.datasets.skipped import Skipped

NAMES = ("blue_tit", "red_kite")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, two images in each split, all of them different."""
    grey = iter(range(100))
    for split in ("train", "val", "test"):
        for name in NAMES:
            for number in range(2):
                image(tmp_path / "set" / split / name / f"{number}.png", next(grey))
    return tmp_path / "set"


def load(root: Path, **options: object) -> Dataset:
    return load_dataset(DatasetSpec(name="set", kind="folder", root=str(root), **options))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda root: image(root / "train/__MACOSX/a.png"), "hidden or system folders"),
        (lambda root: image(root / "train/.thumbnails/a.png"), "hidden or system folders"),
        (lambda root: image(root / "train/@eaDir/a.png"), "hidden or system folders"),
        (lambda root: image(root / "train/thumbnails/a.png"), "hidden or system folders"),
        (lambda root: image(root / "train/red_kite/.cache/a.png"), "hidden or system folders"),
        (lambda root: (root / "train/robin").mkdir(), "folders without an image"),
        (lambda root: image(root / "train/red_kite/._0.png"), "hidden or system files"),
        (lambda root: (root / "val/red_kite/Thumbs.db").write_text(""), "hidden or system files"),
        (lambda root: (root / "val/red_kite/1.HEIC").write_text(""), "files of kind .heic"),
        (lambda root: (root / "val/red_kite/notes").write_text(""), "files without a suffix"),
        (lambda root: image(root / "test/loose.png"), "images in no class folder"),
        (lambda root: image(root / "unlabelled/x/1.png"), "folders beside the splits"),
        (lambda root: (root / "val/red_kite/up").symlink_to(root), "links to folders"),
    ],
)
def test_a_stray_changes_nothing_and_is_counted(
    root: Path, spoil: Callable[[Path], None], what: str
) -> None:
    plain = load(root)
    assert plain.skipped == () and read_as(plain).notes == ()
    spoil(root)
    data = load(root)
    assert data.class_names == ("blue tit", "red kite")
    assert data.splits == plain.splits and data.fingerprint == plain.fingerprint
    assert [(one.what, one.count) for one in data.skipped] == [(what, 1)]
    (note,) = read_as(data).notes
    assert what in note and data.skipped[0].first in note


def test_strays_of_one_kind_are_counted_together(root: Path) -> None:
    for split in ("train", "val", "test"):
        (root / split / "red_kite" / "a.txt").write_text("")
    assert load(root).skipped == (Skipped("files of kind .txt", 3, "train/red_kite/a.txt"),)


def test_images_in_sub_folders_belong_to_their_class_and_this_is_said(root: Path) -> None:
    (root / "train/red_kite/morning").mkdir()
    (root / "train/red_kite/0.png").rename(root / "train/red_kite/morning/0.png")
    data = load(root)
    assert len(data.items("train")) == 4
    assert ("train/red_kite/morning/0.png", 1, "red kite") in data.items("train")
    assert "1 images lie in sub-folders" in read_as(data).notes[0]


def test_splits_below_the_classes_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        image(tmp_path / "kite" / split / "1.png")
    with pytest.raises(DatasetError, match=r"kite holds train and test folders: .* above"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["valid", "validation", "dev", "Val"])
def test_val_by_its_other_names(root: Path, name: str) -> None:
    (root / "val").rename(root / name)
    data = load(root)
    assert data.items("val")[0].impath == f"{name}/blue_tit/0.png"
    if name != "Val":
        shutil.copytree(root / "train", root / "val")
        with pytest.raises(DatasetError, match=r"are both the val split"):
            load(root)


def test_a_class_without_images_in_one_split_is_refused(root: Path) -> None:
    shutil.rmtree(root / "train/red_kite")
    (root / "train/red_kite").mkdir()
    with pytest.raises(DatasetError, match=r"class red_kite: no image of it in train/"):
        load(root)


@pytest.mark.parametrize("twin", ["blue tit", "Blue_Tit", "blue  tit"])
def test_two_folders_of_one_prompt_are_refused_with_both_places(root: Path, twin: str) -> None:
    for split in ("train", "val", "test"):
        image(root / split / twin / "1.png")
    with pytest.raises(DatasetError, match="make the same prompt") as caught:
        load(root)
    assert f'"train/{twin}"' in str(caught.value) and '"train/blue_tit"' in str(caught.value)
    assert len(load(root, classnames={twin: "great tit"}).class_names) == 3


def test_classes_are_called_what_the_suite_calls_them(root: Path) -> None:
    data = load(root, classnames={"red_kite": "Milvus milvus"})
    assert data.class_names == ("blue tit", "Milvus milvus")
    assert data.items("test")[-1].classname == "Milvus milvus"
    assert data.fingerprint != load(root).fingerprint
    with pytest.raises(DatasetError, match=r'no class "red_kit" .did you mean "red_kite"'):
        load(root, classnames={"red_kit": "a"})
    with pytest.raises(DatasetError, match=r'"train/red_kite" .called "Blue tit". make the same'):
        load(root, classnames={"red_kite": "Blue tit"})


def splits(**changes: object) -> dict[str, object]:
    rows = {
        s: [[f"{s}/{name}/0.png", label, name] for label, name in enumerate(NAMES)]
        for s in ("train", "test")
    }
    return {"classnames": list(NAMES), **rows, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classnames": ["red kite", "blue tit"]},
         r'train\[0\]: label 0 .*"blue_tit", but classnames\[0\] is "red kite"'),
        ({"classnames": ["blue_tit", "Blue tit"]},
         r'classnames\[0\] "blue_tit" and classnames\[1\] "Blue tit" make the same prompt'),
        ({"classnames": ["", "red_kite"]}, r'classnames\[0\] "" is an empty class name'),
        ({"classnames": [" ", "red_kite"]}, r'classnames\[0\] " " is an empty class name'),
        ({"vall": []}, r'unknown key "vall" .did you mean "val"'),
        ({"val": [], "valid": []}, r'"val" and "valid" are both the val split'),
    ],
)  # fmt: skip
def test_a_split_file_that_contradicts_itself_is_refused(
    root: Path, changes: dict[str, object], message: str
) -> None:
    (root / "split.json").write_text(json.dumps(splits(**changes)))
    with pytest.raises(DatasetError, match=message):
        load(root)


def test_a_split_file_may_write_names_with_underscores_and_val_by_another_name(root: Path) -> None:
    rows = [["val/blue_tit/0.png", 0, "blue_tit"]]
    content = splits(classnames=["blue tit", "red kite"], valid=rows, dataset="birds")
    (root / "split.json").write_text(json.dumps(content))
    assert [item.impath for item in load(root).items("val")] == ["val/blue_tit/0.png"]
