"""Finding a suite's methods, and refusing what is none."""

from __future__ import annotations

import sys
from dataclasses import is_dataclass
from pathlib import Path

from harness import registry, source
from harness.errors import HarnessError
from harness.task import Method

METHODS = "harness.methods"
"""Entry-point group of methods."""


def find_method(reference: str, base: Path | None = None) -> type[Method]:
    """The `Method` class that a name or a `path/to/file.py:Name` stands for.

    Raises:
        HarnessError: as `registry.find`; or the object is no `Method` class (those of its file are
            listed), defines no `fit`, or lacks its `name` or its `Config` dataclass.
    """
    found = registry.find(METHODS, reference, base)
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


def method_source(reference: str) -> str:
    """SHA-256 of a method's source (see `harness.source`)."""
    return source.source_hash(reference, METHODS)


def _methods_there(reference: str, base: Path | None) -> str:
    """The methods that the file of a plug-in defines, as an end of a message."""
    module = registry.module_of(METHODS, reference, base)
    methods = [
        f'"{name}"'
        for name, value in vars(sys.modules[module]).items()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module
    ]
    if not methods:
        return ": derive one from harness.task.Method"
    return f" (did you mean {' or '.join(sorted(methods))}?)"
