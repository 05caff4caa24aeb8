"""The house as docs/design.md and CONTRIBUTING.md show it is the house as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("docs/design.md", "CONTRIBUTING.md")
LINKED = ("methods", "reports", "suites")


def rows(page: str) -> dict[str, list[str]]:
    """Folder → the files named beside it, of the table under "The house"."""
    text = (ROOT / page).read_text().partition("## The house\n")[2].partition("\n## ")[0]
    table = {}
    for line in text.splitlines():
        if folder := re.match(r"\| `([^`]+/)` \|", line):
            named = re.findall(r"`([^`]+)`", line[folder.end() :])
            table[folder[1]] = [word for word in named if "." in word or "/" in word]
    return table


def package_folders() -> set[str]:
    """Folders of the package that hold Python files, by where they are edited."""
    found = {path.parent for path in (ROOT / "harness").rglob("*.py")}
    for linked in LINKED:
        found |= {path.parent for path in (ROOT / linked).rglob("*.py")}
    inside = {path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts}
    return {f"{path.as_posix()}/" for path in inside if path.parts[:2] not in _links()}


def _links() -> set[tuple[str, str]]:
    return {("harness", linked) for linked in LINKED}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_is_there(page: str) -> None:
    assert len(rows(page)) > 10
    for folder, files in rows(page).items():
        assert (ROOT / folder).is_dir(), f"{page}: {folder}"
        for file in files:
            near, far = ROOT / folder / file, ROOT / file
            assert near.exists() or far.exists(), f"{page}: {folder}: {file}"


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_the_text_is_there(page: str) -> None:
    tops = "harness|methods|reports|suites|scripts|benchmarks"
    paths = re.findall(rf"`((?:{tops})/[\w./-]*)`", (ROOT / page).read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_folder_of_the_package_is_named() -> None:
    assert package_folders() - set(rows("docs/design.md")) == set()
    upper = {folder for folder in package_folders() if folder.count("/") == 2}
    rooms = {folder for folder in upper if folder.startswith("harness/")}
    assert rooms - set(rows("CONTRIBUTING.md")) == set()


def test_the_links_lead_to_the_top_level() -> None:
    for linked in LINKED:
        link = ROOT / "harness" / linked
        assert link.is_symlink()
        assert link.resolve() == ROOT / linked


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by their names alone, and stops where it meets one twice."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
