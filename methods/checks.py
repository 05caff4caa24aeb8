"""Checks of config values. Each error quotes the value and says what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def require(holds: bool, config: Any, field: str, expected: str) -> None:
    """Raise ValueError unless `holds`: `lora: rank = 0: expected a whole number of at least 1`."""
    if not holds:
        method = type(config).__module__.rpartition(".")[2]
        raise ValueError(f"{method}: {field} = {getattr(config, field)!r}: expected {expected}")


def at_least(low: int, config: Any, *names: str) -> None:
    """Each of the fields `names` is None or a whole number of at least `low`."""
    for name in names:
        value = getattr(config, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        require(
            value is None or (whole and value >= low),
            config,
            name,
            f"a whole number of at least {low}",
        )


def positive(config: Any, *names: str) -> None:
    """Each of the fields `names` is a number above 0."""
    for name in names:
        value = getattr(config, name)
        require(isinstance(value, int | float) and value > 0, config, name, "a number above 0")


def not_negative(config: Any, *names: str) -> None:
    """Each of the fields `names` is a number of at least 0."""
    for name in names:
        value = getattr(config, name)
        require(isinstance(value, int | float) and value >= 0, config, name, "a number from 0 up")


def one_of(config: Any, name: str, allowed: Sequence[str]) -> None:
    """The field `name` is one of the words `allowed`."""
    require(getattr(config, name) in allowed, config, name, "one of " + ", ".join(allowed))
