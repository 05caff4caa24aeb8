"""YAML read safely, with the line of every key and list item, so that errors can name it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from harness.errors import HarnessError

Where = tuple[str | int, ...]
"""A place in a document: keys and list positions from the root, e.g. ("methods", 2, "config")."""


class _Loader(yaml.SafeLoader):
    """`SafeLoader` that also reads 1e-3 as a number, as every user of learning rates expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read(path: Path) -> tuple[Any, dict[Where, int]]:
    """The document at `path` and the 1-based line of each of its places.

    Raises:
        HarnessError: the file cannot be read, is not YAML, or repeats a key; names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise HarnessError(f"{path}: not UTF-8 text: {error.reason}") from None
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        raise HarnessError(f"{path}: not a text file: {error.reason}") from None
    try:
        node = loader.get_single_node()
        lines: dict[Where, int] = {}
        if node is None:
            return None, lines
        _walk(node, (), lines, path)
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise HarnessError(f"{where}: {getattr(error, 'problem', None) or error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, HarnessError):
            raise
        reason = "it refers to itself" if isinstance(error, RecursionError) else error
        raise HarnessError(f"{path}: {reason}") from None
    finally:
        loader.dispose()


def _walk(node: yaml.Node, where: Where, lines: dict[Where, int], path: Path) -> None:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _walk(item, (*where, position), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*where, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                raise HarnessError(
                    f'{path}:{line}: key "{key.value}" stands twice '
                    f"(first on line {lines[here]}); remove one"
                )
            lines[here] = line
            _walk(value, here, lines, path)


def show(where: Where) -> str:
    """A place as a person writes it: `methods[2].config.rank`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def line_of(where: Where, lines: dict[Where, int]) -> int:
    """The line of a place, or of the nearest enclosing place that stands in the file."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)
