"""A report's folder has one owner: no suite, and no choice of cells, writes over another's."""

from __future__ import annotations

import shutil
from pathlib import Path

from small_suite import SMALL

from harness.plan.expand import make_plan
from harness.plan.suite import load_suite
from harness.store.store import Store
from harness.verbs.folders import report_folder


def folder_of(suite: Path, results: Path, *only: str) -> str:
    return report_folder(make_plan(load_suite(suite)), Store(results), only).name


def written(path: Path, text: str = SMALL) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_suites_of_one_name_have_a_folder_each(tmp_path: Path) -> None:
    """Two files of one name; a file that calls itself by another's name."""
    results = tmp_path / "r"
    first, second = written(tmp_path / "a" / "mine.yaml"), written(tmp_path / "b" / "mine.yaml")
    other = written(tmp_path / "a" / "theirs.yaml", "name: mine\n" + SMALL)
    for _ in range(2):
        found = [folder_of(suite, results) for suite in (first, second, other)]
        assert found == ["mine", "mine-2", "mine-3"]


def test_every_choice_of_cells_has_a_folder_of_its_own(tmp_path: Path) -> None:
    suite, results = written(tmp_path / "mine.yaml"), tmp_path / "r"
    long = [f"label={'x' * 300}{end}" for end in "ab"]
    alike = ["label=a b", "label=a/b", "label=a/../b, c"]
    choices = [(), ("shots=1",), ("shots=1", "seed=1"), *((word,) for word in long + alike)]
    found = [folder_of(suite, results, *only) for only in choices]
    assert len(set(found)) == len(choices)
    assert folder_of(suite, results, "seed=1", "shots=1") == found[2], "in any order"


def test_a_store_and_its_suites_may_be_moved_together(tmp_path: Path) -> None:
    written(tmp_path / "here" / "mine.yaml")
    assert folder_of(tmp_path / "here" / "mine.yaml", tmp_path / "here" / "r") == "mine"
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert folder_of(tmp_path / "there" / "mine.yaml", tmp_path / "there" / "r") == "mine"


def test_a_folder_without_an_owner_is_taken(tmp_path: Path) -> None:
    """As earlier versions left them."""
    suite = written(tmp_path / "mine.yaml")
    (tmp_path / "r" / "reports" / "mine").mkdir(parents=True)
    assert folder_of(suite, tmp_path / "r") == "mine"
