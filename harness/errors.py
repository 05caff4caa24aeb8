"""Errors that are the user's to mend: shown as one line, without a traceback, exit status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(ValueError):
    """Bad input. The message quotes it, says where it stands and what would be right."""


class NotHere(HarnessError):
    """A suite names it rightly, and this machine does not have it: images, lists, weights."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean "rank"?)' for the nearest known word, else the known words, else ''."""
    known = sorted(known)
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f' (did you mean "{folded[near[0]]}"?)'
    return f" (known: {', '.join(known)})" if known else ""
