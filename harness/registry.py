"""Finding plug-ins: by entry point, or as `path/to/file.py:Name`."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, did_you_mean
from harness.wording import named


@functools.cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group such as "harness.methods", by name."""
    return {entry.name: entry for entry in entry_points(group=group)}


def find(group: str, reference: str, base: Path | None = None) -> Any:
    """The object that a name or a `path/to/file.py:Name` stands for.

    A plug-in file may import modules from the folder it lies in.

    Args:
        group: entry-point group, e.g. "harness.methods".
        reference: a registered name, or a file and a name in it.
        base: the folder that a relative file path starts from (default: the working folder).

    Raises:
        HarnessError: unknown name (with the nearest known one), missing file, or a file that
            does not define the name, or fails to import (whatever it raises).
    """
    if ".py:" in reference:
        return _from_file(*_file_and_name(reference, base))
    known = plugins(group)
    if reference not in known:
        kind = group.removeprefix("harness.").removesuffix("s").replace("_", " ")
        if reference.endswith(".py"):
            raise HarnessError(f'"{reference}": say which {kind} of the file: {reference}:NAME')
        raise HarnessError(f'unknown {kind} "{reference}"{did_you_mean(reference, known)}')
    try:
        return known[reference].load()
    except Exception as error:  # importing runs somebody else's code
        what = named(error)
        raise HarnessError(f'"{reference}" ({known[reference].value}): {what}') from error


def absolute(reference: str, base: Path | None = None) -> str:
    """The reference with its file path made absolute; a registered name as it is."""
    if ".py:" not in reference:
        return reference
    path, name = _file_and_name(reference, base)
    return f"{path}:{name}"


def module_of(group: str, reference: str, base: Path | None = None) -> str:
    """The name under which `sys.modules` holds what `find` has loaded."""
    if ".py:" in reference:
        return _module_name(_file_and_name(reference, base)[0])
    return plugins(group)[reference].module


def _file_and_name(reference: str, base: Path | None) -> tuple[Path, str]:
    file, _, name = reference.rpartition(":")
    path = Path(file).expanduser()
    return (path if path.is_absolute() else (base or Path.cwd()) / path).resolve(), name


@functools.cache
def _from_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise HarnessError(f"{path}: no such file")
    module_name = _module_name(path)
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up while it is executed
    try:
        with _beside(path):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        if isinstance(error, HarnessError):
            raise
        line = getattr(error, "lineno", None) or _line_in(error, path)
        raise HarnessError(f"{path}:{line}: {named(error)}") from error
    if not hasattr(module, name):
        public = [n for n, v in vars(module).items() if callable(v) and n[0] != "_"]
        raise HarnessError(f'{path} does not define "{name}"{did_you_mean(name, public)}')
    return getattr(module, name)


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Lets the file import modules that lie beside it, and no other folder's of the same name.

    Raises:
        HarnessError: such a name is taken by a module that was imported from elsewhere.
    """
    folder = path.parent
    for name in {file.stem for file in folder.glob("*.py")} - {path.stem}:
        taken = getattr(sys.modules.get(name), "__file__", None)
        helper = folder / f"{name}.py"
        if taken and Path(taken).resolve() != helper and _imports(path, name):
            raise HarnessError(
                f"{path}: its helper {helper.name} has the name of a module that is loaded from "
                f"{taken}: give one of them another name"
            )
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _imports(path: Path, name: str) -> bool:
    """Whether the file mentions the module in an import statement."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = (f"import {name}", f"from {name} ", f"from {name}.")
    return any(line.strip().startswith(starts) for line in lines)


def _module_name(path: Path) -> str:
    """A name of its own per path, so that two files called my_method.py do not meet."""
    return f"harness_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _line_in(error: BaseException, path: Path) -> int:
    """The last line of `path` that the error came through."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
