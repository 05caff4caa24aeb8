"""Work done ahead in a thread: the next images are decoded while the last ones are encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def prefetched(function: Callable[[In], Out], values: Iterable[In]) -> Iterator[Out]:
    """`function` of each value, in order; one ahead of what the caller has asked for.

    At most two results are in memory. What `function` raises is raised where its result would
    have come.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        ahead = None
        for value in values:
            now, ahead = ahead, pool.submit(function, value)
            if now is not None:
                yield now.result()
        if ahead is not None:
            yield ahead.result()
