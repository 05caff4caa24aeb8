"""Nested mappings as dotted keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def last_of(key: str) -> str:
    """ "a.b.c" → "c"."""
    return key.rsplit(".", 1)[-1]


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted keys; other values as text."""
    found: list[tuple[str, str]] = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            found += flat(item, f"{prefix}{key}.")
        else:
            text = "" if item is None else item if isinstance(item, str) else json.dumps(item)
            found.append((f"{prefix}{key}", text))
    return found
