"""Hashing a plug-in's source: its file, and what it imports of its own package or from beside it.

Editing one method's file changes the hash of that method and of whatever is built on it, and
nothing else's. Found by reading the import statements, so nothing is executed but packages above
an imported module.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from harness.errors import HarnessError
from harness.registry import plugins

SHARED = "harness.methods"
"""Whose modules count wherever they are imported: methods are built on one another."""


def source_hash(reference: str, group: str) -> str:
    """SHA-256 over the plug-in's file and the files it imports: of `harness.methods`, of its own
    package, or, where it is a `path/to/file.py:Name`, from the folder it lies in.

    Only names of files and their bytes count, not the folder they lie in.

    Raises:
        HarnessError: a file that cannot be read or parsed; names file and line.
    """
    if ".py:" in reference:
        path = Path(reference.rpartition(":")[0])
        module = path.name  # no import statement can name it
    else:
        module = plugins(group)[reference].module
        path = _source(module)
    digest = hashlib.sha256()
    # Two modules of a package may have files of one name, so the module's name decides a tie.
    for _, file in sorted(sources(module, path).items(), key=lambda s: (s[1].name, s[0])):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def sources(module: str, path: Path) -> dict[str, Path]:
    """Files by module: `path` and, transitively, what it imports that is part of it."""
    finder = _Finder(module, path)
    found: dict[str, Path] = {}
    todo = [(module, path)]
    while todo:
        module, file = todo.pop()
        if module in found:
            continue
        found[module] = file
        if file.suffix != ".py":
            continue
        for name in finder.imported(module, file):
            spec = finder.spec(name)
            if spec is not None and spec.has_location and spec.origin is not None:
                todo.append((name, Path(spec.origin)))
    return found


class _Finder:
    """Tells which imports belong to a plug-in, and where they lie."""

    def __init__(self, module: str, path: Path) -> None:
        self._folder = path.parent if module.endswith(".py") else None
        own = set() if self._folder is not None else {module.partition(".")[0]}
        self._own = {SHARED, *(own - {"harness"})}

    def imported(self, module: str, file: Path) -> set[str]:
        """The modules of the plug-in's own that the file of `module` imports something from."""
        package = "" if module == file.name else module
        if file.name != "__init__.py":
            package = package.rpartition(".")[0]
        wanted: set[str] = set()
        for node in ast.walk(_parsed(file)):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted |= set(self._from(node, package))
        return {name for name in wanted if self._is_own(name)}

    def spec(self, module: str) -> ModuleSpec | None:
        """Where a module is; None where it is not, or its parent does not import."""
        beside = self._beside(module)
        if beside is not None:
            return beside
        try:
            return importlib.util.find_spec(module)
        except Exception:  # of the parent's code; a plug-in that does not import says so itself
            return None

    def _from(self, node: ast.ImportFrom, package: str) -> Iterator[str]:
        """The modules of `from … import a, b`: each name's submodule, or the module itself."""
        try:
            name = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        except ImportError:  # a relative import that leads out of the package: loading reports it
            return
        if not self._is_own(name):
            return
        spec = self.spec(name)
        is_package = spec is not None and spec.submodule_search_locations is not None
        for alias in node.names:
            submodule = f"{name}.{alias.name}"
            yield submodule if is_package and self.spec(submodule) is not None else name

    def _is_own(self, name: str) -> bool:
        within = any(name == own or name.startswith(f"{own}.") for own in self._own)
        return within or self._beside(name) is not None

    def _beside(self, module: str) -> ModuleSpec | None:
        """A module in the folder of a plug-in file, if that is where its name leads."""
        if self._folder is None:
            return None
        where: list[str] | None = [str(self._folder)]
        spec: ModuleSpec | None = None
        done = ""
        for part in module.split("."):
            done = f"{done}.{part}".lstrip(".")
            spec = PathFinder.find_spec(done, where)
            if spec is None:
                return None
            where = list(spec.submodule_search_locations or ())
        return spec


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise HarnessError(f"module {module} has no source file")
    return Path(spec.origin)


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        raise HarnessError(f"{file}: {error.strerror or error}") from None
    except SyntaxError as error:
        raise HarnessError(f"{file}:{error.lineno}: {error.msg}") from None
    except ValueError as error:  # null bytes
        raise HarnessError(f"{file}: {error}") from None
