"""What is built and installed: one top-level name, complete, and of use outside of a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from harness.plan.expand import make_plan
from harness.plan.find_suite import find_suite
from harness.plan.suite import load_suite

pytest.importorskip("setuptools", minversion="77")

ROOT = Path(__file__).parents[1]
FOLDERS = ("harness", "methods", "reports", "suites", "tests")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff")
DATA = {"harness/py.typed", "harness/suites/fewshot.yaml", "harness/suites/search/rates.yaml"}
UNUSED = shutil.ignore_patterns("__pycache__")


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """The wheel or sdist of a source tree, made as any front end makes it."""
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    run(sys.executable, "-c", code, cwd=source)
    (path,) = out.iterdir()
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout, elsewhere, since building leaves traces beside the sources."""
    copy = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=UNUSED)
    for file in FILES:
        shutil.copy(ROOT / file, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("built") / "wheel")


def held(wheel: Path) -> set[str]:
    """The files of a wheel, but for its metadata."""
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def test_a_wheel_puts_one_name_into_an_environment_and_holds_everything(wheel: Path) -> None:
    names = held(wheel)
    assert {name.partition("/")[0] for name in names} == {"harness"}
    assert names >= DATA
    sources = {path for path in (ROOT / "harness").rglob("*.py")}
    for linked in ("methods", "reports", "suites"):
        sources |= {path for path in (ROOT / "harness" / linked).rglob("*.*") if path.is_file()}
    wanted = {path.relative_to(ROOT).as_posix() for path in sources if path.suffix != ".pyc"}
    assert wanted - names == set()


def test_a_source_distribution_makes_the_same_wheel(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(build("sdist", source, tmp_path / "sdist")) as file:
        assert not any("/tests/" in name for name in file.getnames())
        file.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("harness-*/")
    assert held(build("wheel", unpacked, tmp_path / "wheel")) == held(wheel)


def test_an_installed_wheel_plans_the_cells_of_the_checkout_by_name(
    wheel: Path, tmp_path: Path
) -> None:
    place, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    scheme = {"base": str(place), "platbase": str(place)}
    paths = sysconfig.get_paths("venv", vars=scheme)
    python = Path(paths["scripts"]) / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps"]
    run(*command, "--no-index", "--disable-pip-version-check", wheel, cwd=tmp_path)
    # What harness needs is taken from here; import hooks of an editable install are not.
    beside = [path for path in sys.path if "site-packages" in Path(path).parts]
    (Path(paths["purelib"]) / "beside.pth").write_text("\n".join(beside))

    found = run(python, "-c", "import harness; print(harness.__file__)", cwd=elsewhere)
    assert Path(found.strip()).is_relative_to(place.resolve())
    harness = Path(paths["scripts"]) / "harness"
    methods = run(harness, "list", "methods", cwd=elsewhere)
    known = {entry.name for entry in entry_points(group="harness.methods")}
    assert len(known) > 5
    assert all(name in methods for name in known)
    planned = json.loads(run(harness, "plan", "smoke", "--json", cwd=elsewhere))
    ours = make_plan(load_suite(find_suite("smoke"))).cells
    assert [cell["id"] for cell in planned] == [cell.id for cell in ours]
    assert list(elsewhere.iterdir()) == []
