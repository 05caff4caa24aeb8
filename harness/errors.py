"""Errors that end a command in one line, without a traceback, and what errors arose from."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator


class HarnessError(ValueError):
    """Bad input. The message quotes it, says where it stands and what would be right."""


_MANY = 20
"""More known words than this are not listed: the nearest few are."""
_NEAREST = 5


class NotHere(HarnessError):
    """A suite names it rightly, and this machine does not have it: images, lists, weights."""


class RunStopped(RuntimeError):
    """A run cannot go on, and what it was given is not to blame: exit status 1."""


def full_disk(error: BaseException) -> OSError | None:
    """The full disk, or used-up quota, that `error` is or arose from."""
    full = (errno.ENOSPC, errno.EDQUOT)
    found = (e for e in chain(error) if isinstance(e, OSError) and e.errno in full)
    return next(found, None)


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that it arose from."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        cause = todo.pop()
        if cause is not None and cause not in seen:
            seen.append(cause)
            todo += [cause.__cause__, cause.__context__]
            yield cause


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean "rank"?)' for the nearest known word, else the known words (of many, the
    five nearest), else ''."""
    known = sorted(known)
    folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f' (did you mean "{folded[near[0]]}"?)'
    if len(known) > _MANY:
        nearest = difflib.get_close_matches(word.lower(), folded, n=_NEAREST, cutoff=0)
        return f" (nearest: {', '.join(folded[name] for name in nearest)})"
    return f" (known: {', '.join(known)})" if known else ""


def few(items: Iterable[object], shown: int = 5, separator: str = ", ") -> str:
    """'a, b, c and 12 more': the first `shown`, and how many there are beside them."""
    names = [str(item) for item in items]
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more
