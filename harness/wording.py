"""What was expected of a value, in words: pydantic's errors and schemas as a person says them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from harness.errors import did_you_mean

Where = tuple[str | int, ...]
"""A place in a document: keys and list positions from the root, e.g. ("methods", 2, "config")."""
Schema = Mapping[str, Any]
"""A JSON schema, as pydantic makes it of a model or a dataclass."""

WORDS = "x-words"
"""The key of a schema under which we say in words what its type alone would not."""
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
_OWN = ("value_error", "assertion_error")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "tuple": "a list",
    "list": "a list",
    "set": "a list of different things",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "literal": "one of {expected}",
    "enum": "one of {expected}",
    "none": "null",
}
_BOUNDS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "at least {min_length} letter(s)",
    "string_too_long": "at most {max_length} letter(s)",
}


def explain(problem: Mapping[str, Any], schema: Schema | None = None) -> str:
    """One of pydantic's problems, without its place: `0: expected a whole number of at least 1`.

    Args:
        problem: an entry of `ValidationError.errors()`.
        schema: of what was validated; without it a bound is told without the kind of number.
    """
    kind, where = str(problem["type"]), tuple(problem["loc"])
    if kind in UNKNOWN:
        known = keys_of(at(schema, where[:-1]), schema)
        return f'unknown key "{where[-1]}"{did_you_mean(str(where[-1]), known)}'
    if kind in _MISSING and isinstance(where[-1], str):
        return f'the key "{where[-1]}" is missing'
    given = quoted(problem.get("input"))
    if kind in _OWN:
        return str(problem["ctx"]["error"])
    found = at(schema, where[:-1] if kind in _MISSING else where)  # missing: in a list too short
    what = expected(found, schema) if found else _by_kind(kind, problem.get("ctx", {}))
    if kind == "finite_number":
        what = what.replace("a number", "a finite number")
    return f"{given}: expected {what}"


def one_line(error: BaseException) -> str:
    """An exception's message; of pydantic's, every problem with its place, parted by `; `."""
    if not isinstance(error, ValidationError):
        return str(error)
    problems = [
        ": ".join(filter(None, [show(problem["loc"]), explain(problem)]))
        for problem in error.errors(include_url=False)
    ]
    return "; ".join(dict.fromkeys(problems))


def named(error: BaseException) -> str:
    """The first line of the same, after the kind of the exception: of somebody else's code, which
    may raise any, a stack of C++ calls below its message among them."""
    return f"{type(error).__name__}: {one_line(error).strip().partition(chr(10))[0]}"


def or_name(schema: dict[str, Any]) -> None:
    """For `json_schema_extra` of a model for whose mapping its name alone may stand."""
    whole = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", WORDS: "a name"}, {**whole, WORDS: "a mapping"}]


def at(schema: Schema | None, where: Sequence[str | int]) -> Schema | None:
    """The part of a schema that speaks of a place, or None; union tags of pydantic's are passed."""
    found = schema
    for part in where:
        if found is None or schema is None:
            return None
        found = next(_below(found, part, schema), None if isinstance(part, int) else found)
    return found


def keys_of(part: Schema | None, schema: Schema | None) -> list[str]:
    """The keys that a mapping of this schema has."""
    return [
        key for choice in _choices(part or {}, schema or {}) for key in choice.get("properties", ())
    ]


def _below(found: Schema, part: str | int, root: Schema) -> Iterator[Schema]:
    for choice in _choices(found, root):
        if isinstance(part, int):
            fixed = choice.get("prefixItems", [])
            if part < len(fixed):
                yield fixed[part]
            elif "items" in choice:
                yield choice["items"]
        elif part in choice.get("properties", {}):
            yield choice["properties"][part]
        elif isinstance(choice.get("additionalProperties"), dict):
            yield choice["additionalProperties"]


def _choices(part: Schema, root: Schema) -> list[Schema]:
    """The alternatives of a schema, with references followed."""
    if "$ref" in part:
        part = root["$defs"][part["$ref"].rpartition("/")[2]]
    if "anyOf" in part:
        return [choice for option in part["anyOf"] for choice in _choices(option, root)]
    return [part]


def expected(part: Schema, root: Schema | None = None) -> str:
    """A schema in words, such as "a whole number of at least 1" or "one of fixed, oracle"."""
    words = [_expected(choice, root or {}) for choice in _choices(part, root or {})]
    return ", or ".join(dict.fromkeys(words))


def _expected(part: Schema, root: Schema) -> str:
    if WORDS in part:
        return str(part[WORDS])
    if "const" in part:
        return _plain(part["const"])
    if "enum" in part:
        return "one of " + ", ".join(map(_plain, part["enum"]))
    kind = part.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(part)
    if kind == "array":
        fixed = part.get("prefixItems")
        if fixed:
            return f"a list of {len(fixed)}: " + ", ".join(expected(item, root) for item in fixed)
        items = part.get("items")
        return f"a list, each {expected(items, root)}" if items else "a list"
    if kind == "string":
        return "a path" if part.get("format") == "path" else "text"
    return {"boolean": "true or false", "object": "a mapping", "null": "null"}.get(
        str(kind), "a plain value"
    )


def _bounds(part: Schema) -> str:
    low, above = part.get("minimum"), part.get("exclusiveMinimum")
    high, below = part.get("maximum"), part.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None and below is not None:
        return f" from {low:g} up, below {below:g}"
    words = [
        f"{word} {value:g}"
        for word, value in (
            ("of at least", low),
            ("above", above),
            ("of at most", high),
            ("below", below),
        )
        if value is not None
    ]
    return "".join(" " + word for word in [", ".join(words)] if word)


def _by_kind(kind: str, context: Mapping[str, Any]) -> str:
    """What a type of pydantic's errors says was expected, where no schema tells it better."""
    context = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _KINDS.get(kind.partition("_")[0], "a value of another kind").format(**context)


def quoted(value: Any) -> str:
    """A value as YAML has it, at most 60 characters long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    text = {"Infinity": ".inf", "-Infinity": "-.inf", "NaN": ".nan"}.get(text, text)
    if len(text) <= 60:
        return text
    return text[:57] + ('…"' if text.startswith('"') else "…")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def show(where: Iterable[str | int]) -> str:
    """A place as a person writes it: `methods[2].config.rank`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
