"""What `check` finds of data sets on disk."""

import dataclasses
from pathlib import Path

import pytest
from disk import SHARED, image, needs, split_file

from harness.datasets import DatasetError
from harness.datasets.catalogue import CATALOGUE, Known
from harness.datasets.fetch.check import check, check_one
from harness.verbs.data import check_data


def small_dtd(root: Path) -> Known:
    where = root / "DTD"
    split_file(where / "split_zhou_DescribableTextures.json", where / "images", ["a", "b"])
    return dataclasses.replace(CATALOGUE["dtd"], classes=2, sizes=(4, 4, 4))


def test_a_complete_set(tmp_path: Path) -> None:
    known = small_dtd(tmp_path)
    finding = check_one(known, tmp_path, decode=True)
    assert finding.status == "complete" and finding.fingerprint and not finding.corrupt
    text = "\n".join(finding.lines())
    assert "dtd: complete" in text and "train: 4 of 4 images, expected 4" in text
    assert "licence: research use" in text and "source: www.robots" in text


def test_missing_and_empty_files_are_named_and_counted(tmp_path: Path) -> None:
    known = small_dtd(tmp_path)
    (tmp_path / "DTD/images/0/train_1.png").unlink()
    (tmp_path / "DTD/images/1/test_0.png").write_bytes(b"")
    finding = check_one(known, tmp_path)
    assert finding.status == "incomplete" and finding.fingerprint is None
    assert finding.missing == ("0/train_1.png", "1/test_0.png")
    assert finding.counts["train"].present == 3 and finding.counts["val"].right
    assert "  missing: 0/train_1.png" in finding.lines()


def test_corrupt_files_are_found_by_decoding(tmp_path: Path) -> None:
    known = small_dtd(tmp_path)
    bad = tmp_path / "DTD/images/1/val_0.png"
    bad.write_bytes(bad.read_bytes()[:40])
    assert check_one(known, tmp_path).status == "complete"
    finding = check_one(known, tmp_path, decode=True)
    assert finding.status == "incomplete" and len(finding.corrupt) == 1
    assert "1/val_0.png: corrupt or truncated" in finding.corrupt[0]


def test_another_size_than_the_known_one(tmp_path: Path) -> None:
    small_dtd(tmp_path)
    (finding,) = check(tmp_path, ["dtd"])
    assert finding.status == "incomplete" and finding.fingerprint
    assert "  2 classes, expected 47" in finding.lines()
    assert "  train: 4 of 4 images, expected 2820" in finding.lines()


def test_absent_and_unreadable_sets_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stanford_cars").mkdir()
    found = {f.known.name: f for f in check(tmp_path)}
    assert set(found) == set(CATALOGUE) and len(found) == 15
    assert found["stanford_cars"].status == "unreadable"
    assert "vision/issues/7545" in "\n".join(found["stanford_cars"].lines())
    assert found["sun397"].status == "absent"
    assert "MD5" in "\n".join(found["sun397"].lines())
    assert found["dtd"].status == "absent" and "DTD/" in found["dtd"].problem


def test_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match='did you mean "dtd"'):
        check(tmp_path, ["dtdd"])
    with pytest.raises(DatasetError, match="no such folder"):
        check(tmp_path / "absent")


def test_imagenet_val_counts_as_test(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / "imagenet" / split / "n01" / "x.JPEG")
    (tmp_path / "imagenet" / "classnames.txt").write_text("n01 tench\n")
    known = dataclasses.replace(CATALOGUE["imagenet"], classes=1, sizes=(1,))
    finding = check_one(known, tmp_path)
    assert finding.status == "complete" and finding.counts["train"].known is None


@needs("images")
@needs("coop")
def test_a_part_of_real_caltech(tmp_path: Path) -> None:
    folder = tmp_path / "Caltech101"
    folder.mkdir()
    (folder / "101_ObjectCategories").symlink_to((SHARED / "images" / "caltech101").resolve())
    split = "split_zhou_Caltech101.json"
    (folder / split).symlink_to((SHARED / "coop" / "splits" / split).resolve())
    (finding,) = check(tmp_path, ["caltech101"])
    assert finding.status == "incomplete" and finding.classes == 100
    assert {s: c.listed for s, c in finding.counts.items()} == CATALOGUE["caltech101"].known_sizes
    present = sum(count.present for count in finding.counts.values())
    assert present == 3400 and len(finding.missing) == 8242 - 3400


def test_a_file_and_an_embedded_set_are_no_folders_to_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file: not a folder; name the one that holds"):
        check(tmp_path / "file")
    with pytest.raises(DatasetError, match='"digits" is embedded in the package'):
        check(tmp_path, ["digits"])


def test_a_folder_without_any_known_set_is_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_data(tmp_path, (), decode=False) == 0
    assert "is it the one that does?" in capsys.readouterr().out
    small_dtd(tmp_path)
    assert check_data(tmp_path, ("dtd",), decode=True) == 1
    assert "is it the one" not in capsys.readouterr().out
