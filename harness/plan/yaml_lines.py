"""YAML 1.2 read safely, with the line of every key and list item, so that errors can name it.

Of ruamel.yaml's loaders the plain one: `no` is a word, 010 is ten, 1e-3 is a number, and a tag
builds nothing. What it says of a file that is no YAML is told in our own words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.errors import HarnessError
from harness.wording import UNKNOWN, Schema, Where, explain, show

_PROBLEMS = (
    ("expected ',' or ']'", 'the "[" on line {opened} is not closed, or a comma is missing'),
    ("expected ',' or '}'", 'the "{{" on line {opened} is not closed, or a comma is missing'),
    ("found unexpected end of stream", "the quote opened on line {opened} is not closed"),
    ("mapping values are not allowed", 'a second ":" where no key can be: quote the text, or indent'
     " the key as its neighbours"),
    ("could not find expected ':'", 'neither "key: value" nor a list item; indent it, or add ":"'),
    ("found character '\\t'", "a tab: indent with spaces"),
    ("found character", "this sign cannot begin a word: quote the text"),
    ("found undefined alias", "no anchor of this name stands above: write &NAME where it is meant"),
    ("could not determine a constructor", "a tag (!…) is not read here: write the plain value"),
    ("but found another document", "a second document (---): one file holds one"),
    ("found unknown escape", "unknown escape in double quotes: use single quotes"),
    ("found duplicate key", "this key stands twice: remove one"),
)  # fmt: skip
_OTHER = "not YAML: look for indentation that differs from the lines above, or an open bracket"


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
        line = error.object.count(b"\n", 0, error.start) + 1
        sign = error.object[error.start]
        raise HarnessError(
            f"{path}:{line}: not UTF-8 text (byte 0x{sign:02x}): save it as UTF-8"
        ) from None
    try:
        return _parse(text, path)
    except MarkedYAMLError as error:
        raise HarnessError(_told(error, path)) from None
    except YAMLError:
        raise HarnessError(f"{path}: not a text file: it holds control characters") from None
    except RecursionError:
        raise HarnessError(f"{path}: it refers to itself") from None


def _parse(text: str, path: Path) -> tuple[Any, dict[Where, int]]:
    if text.startswith("%"):
        raise HarnessError(f"{path}:1: leave the line of directives (%…) out")
    constructor, _ = YAML(typ="safe", pure=True).get_constructor_parser(text)
    node = constructor.composer.get_single_node()
    lines: dict[Where, int] = {}
    if node is None:
        return None, lines
    _walk(node, (), lines, path)
    try:
        return constructor.construct_document(node), lines
    except (ValueError, TypeError):
        raise HarnessError(f"{path}: a value is not what its tag (!!…) says") from None


def _walk(node: Node, where: Where, lines: dict[Where, int], path: Path) -> None:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, SequenceNode):
        for position, item in enumerate(node.value):
            _walk(item, (*where, position), lines, path)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise HarnessError(f"{path}:{line}: a key is a word, not a list or a mapping")
            here = (*where, str(key.value))
            if here in lines:  # said here, since ruamel.yaml does not say where it stood first
                raise HarnessError(
                    f'{path}:{line}: key "{key.value}" stands twice '
                    f"(first on line {lines[here]}); remove one"
                )
            lines[here] = line
            _walk(value, here, lines, path)


def _told(error: MarkedYAMLError, path: Path) -> str:
    """What is wrong with the text, with its line, in words of ours."""
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    problem = error.problem or ""
    words = next((told for start, told in _PROBLEMS if problem.startswith(start)), _OTHER)
    return f"{path}:{mark.line + 1}: {words.format(opened=opened.line + 1 if opened else '?')}"


def line_of(where: Where, lines: dict[Where, int]) -> int:
    """The line of a place, or of the nearest enclosing place that stands in the file."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def refused(
    path: Path, lines: dict[Where, int], error: ValidationError, schema: Schema
) -> HarnessError:
    """What a model refused of the file, one line per problem."""
    # Unknown keys first: a misspelt key is also reported as missing.
    found = sorted(error.errors(), key=lambda problem: problem["type"] not in UNKNOWN)
    told = []
    for problem in found:
        where: Where = problem["loc"]
        if problem["type"] in UNKNOWN:
            line, where = line_of(where, lines), where[:-1]
        else:
            if where not in lines and where[:-1] in lines:
                where = where[:-1]  # a missing key, or the only item of a list that is none
            line = line_of(where, lines)
        told.append(placed(path, line, where, explain(problem, schema)))
    return HarnessError("\n".join(dict.fromkeys(told)))


def placed(path: Path, line: int, where: Where, message: str) -> str:
    """`suites/x.yaml:12: methods[2].config.rank: 0: expected …`."""
    place = show(where)
    return f"{path}:{line}: {place + ': ' if place else ''}{message}"
