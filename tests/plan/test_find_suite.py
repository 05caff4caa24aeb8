"""Suites by name: what ships is found from any folder, and a file that exists is always meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.plan.find_suite import find_suite, shipped
from harness.plan.suite import load_suite


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outside of the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_suite_that_ships_is_found_by_its_name() -> None:
    assert {"fewshot", "smoke", "search/rates"} <= set(shipped())
    assert not any(name.startswith("published") for name in shipped())
    for name, path in shipped().items():
        assert find_suite(name) == path
        assert load_suite(path).suite.name == path.stem


def test_a_file_wins_over_a_name(elsewhere: Path) -> None:
    (elsewhere / "smoke").write_text("mine")
    assert find_suite("smoke") == Path("smoke")


def test_a_folder_does_not(elsewhere: Path) -> None:
    (elsewhere / "smoke").mkdir()
    assert find_suite("smoke") == shipped()["smoke"]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(HarnessError, match=r'unknown suite "fewshots" \(did you mean "fewshot"\?'):
        find_suite("fewshots")


def test_a_checkouts_path_outside_of_a_checkout_names_the_suite_that_ships() -> None:
    with pytest.raises(HarnessError, match=r'suites/smoke.yaml: no such file .* "smoke"\)'):
        find_suite("suites/smoke.yaml")


@pytest.mark.parametrize("word", ["mine.yaml", "split_zhou_DTD.json", "/gone/away"])
def test_other_paths_are_left_to_their_reader(word: str) -> None:
    assert find_suite(word) == Path(word)


def test_in_the_checkout_the_path_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert find_suite("smoke") == Path("harness/suites/smoke.yaml")
