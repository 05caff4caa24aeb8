"""Plug-ins: what goes wrong is said in one line; a source hash follows exactly what is imported."""

from __future__ import annotations

import importlib
import itertools
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness import registry, source
from harness.errors import HarnessError
from harness.plan.methods import METHODS, find_method
from harness.registry import find
from harness.source import _source, source_hash, sources

COUNTER = itertools.count()

METHOD = """\
from dataclasses import dataclass
from harness.task import Classifier, Method

@dataclass(frozen=True)
class Config:
    pass

class Blend(Classifier):
    def logits(self, batch):
        return batch.features

class ClassMean(Method):
    name = "class_mean"
    Config = Config
    def fit(self, task):
        return Blend()

class Nameless(Method):
    Config = Config
    def fit(self, task):
        return Blend()

class Dictionary(Method):
    name = "dictionary"
    Config = {}
    def fit(self, task):
        return Blend()

class Unfit(Method):
    name = "unfit"
    Config = Config

NUMBER = 3
"""


class Package:
    """A third party's package on disk, with the entry points `names` (name: module)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = f"third_party_{next(COUNTER)}"
        self.folder = folder / self.name
        self._entries: dict[str, EntryPoint] = {}
        monkeypatch.syspath_prepend(folder)
        for module in (registry, source):
            monkeypatch.setattr(module, "plugins", lambda group: self._entries)
        self.write("__init__.py", "")

    def write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PKG", self.name))
        importlib.invalidate_caches()

    def declare(self, **modules: str) -> None:
        for name, module in modules.items():
            value = f"{self.name}.{module}:Any".replace("..", ".")
            self._entries[name] = EntryPoint(name, value, METHODS)

    def hashes(self) -> dict[str, str]:
        return {name: source_hash(name, METHODS) for name in self._entries}

    def changed_by(self, file: str) -> set[str]:
        """The methods whose hash changes when a line is added to `file`."""
        before = self.hashes()
        self.write(file, (self.folder / file).read_text() + "\n# edited\n")
        after = self.hashes()
        return {name for name in before if before[name] != after[name]}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    return Package(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        "from .heads import Head",
        "from . import heads",
        "from PKG import heads",
        "from PKG.heads import Head",
        "import PKG.heads",
        "import PKG.heads as h",
    ],
)
def test_every_way_of_importing_is_followed(package: Package, line: str) -> None:
    package.write("heads.py", "from .deep import values\n")
    package.write("deep/__init__.py", "")
    package.write("deep/values.py", "from .. import constants\n")
    package.write("constants.py", "")
    package.write("mine.py", line)
    package.write("other.py", "import os.path\nfrom torch import Tensor\n")
    package.declare(mine="mine", other="other")
    for file in ("mine.py", "heads.py", "deep/values.py", "constants.py"):
        assert package.changed_by(file) == {"mine"}, file
    assert package.changed_by("other.py") == {"other"}


def test_a_method_built_on_another_changes_with_it_and_not_the_other_way(package: Package) -> None:
    package.write("lora.py", "")
    package.write("better.py", "from .lora import LoRA\n")
    package.declare(lora="lora", better="better")
    assert package.changed_by("lora.py") == {"lora", "better"}
    assert package.changed_by("better.py") == {"better"}


def test_a_package_that_lists_its_methods_does_not_tie_them_together(package: Package) -> None:
    package.write("__init__.py", "from .a import A\nfrom .b import B\nSHARED = 1\n")
    package.write("a.py", "A = 1\n")
    package.write("b.py", "from . import heads\nB = 1\n")
    package.write("heads.py", "")
    package.write("c.py", "from . import SHARED\n")
    package.declare(a="a", b="b", c="c")
    assert package.changed_by("a.py") == {"a", "c"}, "c takes a name from the package itself"
    assert package.changed_by("heads.py") == {"b", "c"}
    assert package.changed_by("__init__.py") == {"c"}


def test_files_of_one_name_are_hashed_in_one_order(package: Package) -> None:
    for folder in ("a", "b", "c"):
        package.write(f"{folder}/__init__.py", "")
        package.write(f"{folder}/heads.py", f"VALUE = '{folder}'\n")
    package.write("mine.py", "".join(f"from .{f} import heads as {f}\n" for f in "cab"))
    package.declare(mine="mine")
    before = source_hash("mine", METHODS)
    first, second = (package.folder / f / "heads.py" for f in "ab")
    one, two = first.read_text(), second.read_text()
    first.write_text(two)
    second.write_text(one)
    assert source_hash("mine", METHODS) != before, "which file is which counts"
    first.write_text(one)
    second.write_text(two)
    assert source_hash("mine", METHODS) == before


def test_what_cannot_be_found_is_left_to_the_import_to_report(package: Package) -> None:
    lines = ["from .nowhere import x", "from ..... import y", "import harness.methods.nowhere.deep"]
    lines += [
        "from PKG.nowhere.deep import z",
        "from .broken import deep",
        "from .broken.d import e",
    ]
    package.write("mine.py", "\n".join(lines))
    package.write("broken/__init__.py", "1 / 0")
    package.declare(mine="mine")
    assert package.changed_by("mine.py") == {"mine"}


def test_a_file_is_hashed_without_its_folder(tmp_path: Path) -> None:
    texts = {"one": METHOD, "two": METHOD, "three": METHOD + "#\n"}
    hashes = {}
    for folder, text in texts.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            "from . import x\nimport harness.methods.text_classifier\n" + text
        )
        hashes[folder] = source_hash(f"{tmp_path / folder / 'mine.py'}:ClassMean", METHODS)
    assert hashes["one"] == hashes["two"] != hashes["three"]


def test_the_projects_own_methods_follow_what_they_import() -> None:
    def of(module: str) -> set[str]:
        return {name.removeprefix("harness.methods.") for name in sources(module, _source(module))}

    low_rank = "harness.methods.low_rank"
    assert {"low_rank.lora", "low_rank.family"} <= of(f"{low_rank}.comp_lora")
    assert "low_rank.comp_lora" not in of(f"{low_rank}.lora")
    heads = {"heads.linear_probe", "heads.logistic"}
    assert of("harness.methods.heads.linear_probe") == {*heads, "config"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package_at_all", "ModuleNotFoundError: No module named"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("def (", "SyntaxError"),
        ("Other = 1", "AttributeError"),
    ],
)
def test_an_entry_point_that_fails_is_one_line(package: Package, text: str, said: str) -> None:
    package.write("mine.py", text)
    package.declare(mine="mine")
    with pytest.raises(HarnessError) as caught:
        find(METHODS, "mine")
    assert str(caught.value).startswith(f'"mine" ({package.name}.mine:Any): {said}')
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Blend", 'class Blend is not a Method (did you mean "ClassMean" or "Dictionary" or'),
        ("NUMBER", "int is not a Method (did you mean"),
        ("Nameless", "class Nameless has no name: write name ="),
        ("Dictionary", "class Dictionary has no Config: write a frozen dataclass"),
        ("Unfit", "class Unfit does not define fit(self, task)"),
        ("ClasMean", 'does not define "ClasMean" (did you mean "ClassMean"?)'),
    ],
)
def test_what_is_no_method_is_said(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(METHOD)
    with pytest.raises(HarnessError) as caught:
        find_method(f"mine.py:{name}", tmp_path)
    assert said in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_file_without_any_method_says_what_to_derive_from(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Blend:\n    pass\n")
    with pytest.raises(HarnessError, match=r"Blend is not a Method: derive one from harness\.task"):
        find_method("mine.py:Blend", tmp_path)


def test_a_method_is_found_by_name_and_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METHOD)
    assert find_method("mine.py:ClassMean", tmp_path).name == "class_mean"
    assert find_method("zero_shot").name == "zero_shot"
    assert sys.modules["harness.methods.heads.zero_shot"].ZeroShot is find_method("zero_shot")


def test_a_plugin_that_exits_is_refused_with_its_line(tmp_path: Path) -> None:
    plugin = tmp_path / "leaves.py"
    plugin.write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(HarnessError, match=r"leaves.py:2: SystemExit: 3"):
        registry.find("harness.methods", f"{plugin}:Mine")


def test_a_file_alone_is_told_to_name_what_is_in_it() -> None:
    with pytest.raises(HarnessError, match="say which report part of the file"):
        registry.find("harness.report_parts", "mine.py")
