"""Where a number comes from: the commit of the code that ran, and the content of the images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets import load_dataset
from harness.datasets.spec import DatasetSpec
from harness.run.provenance import _git


def git(folder: Path, *words: str) -> str:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *name, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the three packages and a document, all committed."""
    git(tmp_path, "init", "-q")
    for file in ("harness/__init__.py", "methods/lora.py", "reports/frame.py", "docs/a.md"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    (checkout / "harness/__pycache__").mkdir()
    (checkout / "harness/__pycache__/x.pyc").write_text("")
    (checkout / "notes.txt").write_text("untracked, but no code")
    commit = git(checkout, "rev-parse", "HEAD")
    assert _git(checkout / "harness") == {"commit": commit, "dirty": False}


@pytest.mark.parametrize(
    "file", ["methods/lora.py", "methods/new.py", "harness/deep/new.py", "reports/new.py"]
)
def test_a_change_or_an_untracked_file_among_the_code_is_dirty(checkout: Path, file: str) -> None:
    (checkout / file).parent.mkdir(exist_ok=True)
    (checkout / file).write_text("changed")
    assert _git(checkout / "harness")["dirty"] is True


def test_a_package_installed_in_somebody_elses_repository_has_no_commit(checkout: Path) -> None:
    installed = checkout / ".venv/lib/site-packages/harness"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert _git(installed) == {"commit": None, "dirty": None}


def test_outside_any_repository_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness/__init__.py").write_text("")
    assert _git(tmp_path / "harness") == {"commit": None, "dirty": None}


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "tif", "TIFF"])
def test_uncompressed_images_of_one_size_are_told_apart(tmp_path: Path, suffix: str) -> None:
    sizes, prints = set(), []
    for value in (1, 2, 1):
        path = tmp_path / "train" / "cat" / f"0.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)
        test = tmp_path / "test" / "cat" / "0.png"
        test.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 8, 3), 7, np.uint8)).save(test)
        sizes.add(path.stat().st_size)
        spec = DatasetSpec(name="cats", kind="folder", root=str(tmp_path), templates=["a {}."])
        prints.append(load_dataset(spec).fingerprint)
    assert len(sizes) == 1
    assert prints[0] == prints[2] != prints[1]
