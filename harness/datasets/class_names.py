"""Class names that stand for one class each: never empty, never two with one prompt."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from harness.datasets.dataset import DatasetError
from harness.errors import did_you_mean


def prompt_key(name: str) -> str:
    """What is left of a name where a prompt is tokenised: CLIP's tokenizer lowers letters and
    joins spaces, and `_` stands for one."""
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").lower().split())


def check_class_names(where: str, names: Sequence[str], places: Sequence[str]) -> None:
    """Refuse names that say nothing, or the same as another's.

    Args:
        where: begins the message.
        places: where each name stands, as a person would look for it.

    Raises:
        DatasetError: an empty name, with its place; two names of one prompt, with both places.
    """
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        key = prompt_key(name)
        if not key:
            raise DatasetError(f"{where}: {places[number]} is an empty class name")
        first = seen.setdefault(key, number)
        if first != number:
            raise DatasetError(
                f"{where}: {places[first]} and {places[number]} make the same prompt, of "
                f'"{names[first].replace("_", " ")}": join the classes, or rename one'
            )


def renamed(where: str, names: Sequence[str], given: Mapping[str, str]) -> tuple[str, ...]:
    """The names with those of `given` in the place of its keys.

    Raises:
        DatasetError: a key is none of the names.
    """
    for key in given:
        if key not in names:
            raise DatasetError(f'{where}: classnames: no class "{key}"{did_you_mean(key, names)}')
    return tuple(given.get(name, name) for name in names)
