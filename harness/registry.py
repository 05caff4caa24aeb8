"""Finding plug-ins: by entry point, or as `path/to/file.py:Name`; and hashing their source."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    from harness.task import Method

METHODS = "harness.methods"


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
            does not define the name, or fails to import (whatever it raises).
    """
    if ".py:" in reference:
        return _from_file(*_file_and_name(reference, base))
    known = plugins(group)
    if reference not in known:
        kind = group.removeprefix("harness.").removesuffix("s")
        raise HarnessError(f'unknown {kind} "{reference}"{did_you_mean(reference, known)}')
    try:
        return known[reference].load()
    except Exception as error:  # importing runs somebody else's code
        what = f"{type(error).__name__}: {error}"
        raise HarnessError(f'"{reference}" ({known[reference].value}): {what}') from error


def find_method(reference: str, base: Path | None = None) -> type[Method]:
    """The `Method` class that a name or a `path/to/file.py:Name` stands for.

    Raises:
        HarnessError: as `find`; or the object is no `Method` class (those of its file are listed),
            defines no `fit`, or lacks its `name` or its `Config` dataclass.
    """
    from harness.task import Method

    found = find(METHODS, reference, base)
    if not (isinstance(found, type) and issubclass(found, Method)):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise HarnessError(
            f'"{reference}": {what} is not a Method{_methods_there(reference, base)}'
        )
    cls = f'"{reference}": class {found.__name__}'
    name, config = getattr(found, "name", None), getattr(found, "Config", None)
    if not (isinstance(name, str) and name):
        raise HarnessError(f'{cls} has no name: write name = "my_method" in it')
    if not (isinstance(config, type) and is_dataclass(config)):
        raise HarnessError(f"{cls} has no Config: write a frozen dataclass, Config = … in it")
    if getattr(found.fit, "__isabstractmethod__", False):
        raise HarnessError(f"{cls} does not define fit(self, task)")
    return found


def absolute(reference: str, base: Path | None = None) -> str:
    """The reference with its file path made absolute; a registered name as it is."""
    if ".py:" not in reference:
        return reference
    path, name = _file_and_name(reference, base)
    return f"{path}:{name}"


def source_hash(reference: str, group: str = METHODS) -> str:
    """SHA-256 over the plug-in's file and the files of its own package that it imports.

    Editing one method's file changes the hash of that method and of whatever is built on it. Only
    names of files and their bytes count, not the folder they lie in.
    """
    if ".py:" in reference:
        path = Path(reference.rpartition(":")[0])
        module = path.name  # no import statement can name it
    else:
        module = plugins(group)[reference].module
        path = _source(module)
    sources = _with_imports(module, path)
    digest = hashlib.sha256()
    # Two modules of a package may have files of one name, so the module's name decides a tie.
    for _, file in sorted(sources.items(), key=lambda source: (source[1].name, source[0])):
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
    module_name = _module_name(path)
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


def _methods_there(reference: str, base: Path | None) -> str:
    """The methods that the file of a plug-in defines, as an end of a message."""
    from harness.task import Method

    if ".py:" in reference:
        module = _module_name(_file_and_name(reference, base)[0])
    else:
        module = plugins(METHODS)[reference].module
    methods = [
        f'"{name}"'
        for name, value in vars(sys.modules[module]).items()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module
    ]
    if not methods:
        return ": derive one from harness.task.Method"
    return f" (did you mean {' or '.join(sorted(methods))}?)"


def _source(module: str) -> Path:
    spec = _spec(module)
    if spec is None or spec.origin is None:
        raise HarnessError(f"module {module} has no source file")
    return Path(spec.origin)


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is; None where it is not, or its parent does not import."""
    try:
        return importlib.util.find_spec(module)
    except Exception:  # of the parent's code; a plug-in that does not import is reported by `find`
        return None


def _with_imports(module: str, path: Path) -> dict[str, Path]:
    """Files by module: `path` and, transitively, what it imports of `methods` and its package."""
    own = {"methods"} if module.endswith(".py") else {"methods", module.partition(".")[0]}
    found: dict[str, Path] = {}
    todo = [(module, path)]
    while todo:
        module, file = todo.pop()
        if module in found:
            continue
        found[module] = file
        if file.suffix != ".py":
            continue
        for name in _imported(module, file, own):
            spec = _spec(name)
            if spec is not None and spec.has_location and spec.origin is not None:
                todo.append((name, Path(spec.origin)))
    return found


def _imported(module: str, file: Path, own: set[str]) -> set[str]:
    """The modules below the packages `own` that the file of `module` imports something from."""
    package = "" if module == file.name else module
    if file.name != "__init__.py":
        package = package.rpartition(".")[0]
    wanted: set[str] = set()
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            wanted |= set(_sources_of(node, package, own))
    return {name for name in wanted if name.partition(".")[0] in own}


def _sources_of(node: ast.ImportFrom, package: str, own: set[str]) -> Iterator[str]:
    """The modules of `from … import a, b`: each name's submodule, or else the module itself."""
    try:
        name = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:  # a relative import that leads out of the package: `find` reports it
        return
    if name.partition(".")[0] not in own:
        return
    spec = _spec(name)
    is_package = spec is not None and spec.submodule_search_locations is not None
    for alias in node.names:
        submodule = f"{name}.{alias.name}"
        yield submodule if is_package and _spec(submodule) is not None else name


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        raise HarnessError(f"{file}: {error.strerror or error}") from None
    except SyntaxError as error:
        raise HarnessError(f"{file}:{error.lineno}: {error.msg}") from None
    except ValueError as error:  # null bytes
        raise HarnessError(f"{file}: {error}") from None
