"""Finding plug-ins: by entry point, or as `path/to/file.py:Name`; and hashing their source."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, did_you_mean


@functools.cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group such as "harness.methods", by name."""
    return {entry.name: entry for entry in entry_points(group=group)}


def find(group: str, reference: str, base: Path | None = None) -> Any:
    """The object that a name or a `path/to/file.py:Name` stands for.

    Args:
        group: entry-point group, e.g. "harness.methods".
        reference: a registered name, or a file and a name in it.
        base: the folder that a relative file path starts from (default: the working folder).

    Raises:
        HarnessError: unknown name (with the nearest known one), missing file, or a file that
            does not define the name, or fails to import.
    """
    if ".py:" in reference:
        return _from_file(*_file_and_name(reference, base))
    known = plugins(group)
    if reference not in known:
        kind = group.removeprefix("harness.").removesuffix("s")
        raise HarnessError(f'unknown {kind} "{reference}"{did_you_mean(reference, known)}')
    try:
        return known[reference].load()
    except (ImportError, AttributeError) as error:
        raise HarnessError(f'"{reference}" ({known[reference].value}): {error}') from error


def absolute(reference: str, base: Path | None = None) -> str:
    """The reference with its file path made absolute; a registered name as it is."""
    if ".py:" not in reference:
        return reference
    path, name = _file_and_name(reference, base)
    return f"{path}:{name}"


def source_hash(reference: str) -> str:
    """SHA-256 over the plug-in's file and the files of its own package that it imports.

    Editing one method's file changes the hash of that method and of whatever is built on it.
    """
    if ".py:" in reference:
        path = Path(reference.rpartition(":")[0])
        package = ""
    else:
        module = plugins("harness.methods")[reference].module
        path, package = _origin(module), module.partition(".")[0]
    digest = hashlib.sha256()
    for file in sorted(_with_imports(path, package), key=lambda p: p.name):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _file_and_name(reference: str, base: Path | None) -> tuple[Path, str]:
    file, _, name = reference.rpartition(":")
    path = Path(file).expanduser()
    return (path if path.is_absolute() else (base or Path.cwd()) / path).resolve(), name


@functools.cache
def _from_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise HarnessError(f"{path}: no such file")
    # A name of its own per path, so that two files called my_method.py do not meet.
    module_name = f"harness_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up while it is executed
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        line = getattr(error, "lineno", None) or _line_in(error, path)
        raise HarnessError(f"{path}:{line}: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        public = [n for n, v in vars(module).items() if isinstance(v, type) and n[0] != "_"]
        raise HarnessError(f'{path} does not define "{name}"{did_you_mean(name, public)}')
    return getattr(module, name)


def _line_in(error: BaseException, path: Path) -> int:
    """The last line of `path` that the error came through."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


@functools.cache
def _origin(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise HarnessError(f"module {module} has no source file")
    return Path(spec.origin)


def _with_imports(path: Path, package: str) -> set[Path]:
    """`path` and, transitively, the modules of `methods` and of its own package it imports."""
    found: set[Path] = set()
    todo = [path]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for module in _imported(file):
            if module.partition(".")[0] in {"methods", package} - {""} and "." in module:
                todo.append(_origin(module))
    return found


def _imported(file: Path) -> set[str]:
    modules: set[str] = set()
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise HarnessError(f"{file}: {error.strerror or error}") from None
    except SyntaxError as error:
        raise HarnessError(f"{file}:{error.lineno}: {error.msg}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules.add(node.module)
            modules |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if node.module == "methods" and _exists(f"methods.{alias.name}")
            }
    return modules


def _exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
