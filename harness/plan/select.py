"""`--only key=value`: restricting a plan to some of its cells."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import HarnessError, did_you_mean
from harness.plan.cell import Cell, Waiting
from harness.plan.expand import Plan

KEYS = ("label", "method", "dataset", "shots", "seed")


def only(plan: Plan, words: Sequence[str]) -> Plan:
    """The cells of `plan` that answer every word, such as "dataset=digits,letters" or "shots=4".

    A method without a draw (zero-shot) answers any shots and seed, so that its row stays. A label
    that holds commas is one value where there is such a label; a key given twice takes either.

    Raises:
        HarnessError: no "=", an unknown key, or a value that no cell has.
    """
    chosen = plan
    for key, given in _parse(words).items():
        every = {_value(cell, key) for cell in plan.every}
        known = sorted(every - {"0" if key in _AXES else ""})
        values = [value for word in given for value in _split(word, known)]
        for value in values:
            if value not in known:
                hint = did_you_mean(value, known)
                raise HarnessError(f'--only {key}={value}: no cell has {key} "{value}"{hint}')
        chosen = chosen.keep(lambda cell, key=key, values=values: _answers(cell, key, values))  # type: ignore[misc]
    if not chosen.cells and not chosen.waiting:
        raise HarnessError(f"--only {' --only '.join(words)}: no cell answers all of them")
    return chosen


_AXES = ("shots", "seed")


def _answers(cell: Cell | Waiting, key: str, values: Sequence[str]) -> bool:
    return (key in _AXES and cell.shots == 0) or _value(cell, key) in values


def _value(cell: Cell | Waiting, key: str) -> str:
    if key == "method":
        return cell.identity.method.name
    return str(getattr(cell, key))


def _parse(words: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not values:
            raise HarnessError(f'--only {word}: write key=value, e.g. "dataset=digits"')
        if key not in KEYS:
            raise HarnessError(f'--only {word}: unknown key "{key}"{did_you_mean(key, KEYS)}')
        found.setdefault(key, []).append(values)
    return found


def _split(text: str, known: Sequence[str]) -> list[str]:
    """`text` at its commas, but for those within a known value: "lora(rank=2, lr=1),zero_shot"."""
    if text in known:
        return [text]
    for value in sorted(known, key=len, reverse=True):
        if text.startswith(f"{value},"):
            return [value, *_split(text[len(value) + 1 :].lstrip(), known)]
    first, comma, rest = text.partition(",")
    return [first, *_split(rest.lstrip(), known)] if comma else [first]
