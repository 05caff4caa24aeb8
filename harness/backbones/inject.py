"""Named linears changed for a while, by branches beside them or by other weights, and then as
they were, without a trace."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def injected(sites: Mapping[str, nn.Linear], branches: Mapping[str, nn.Module]) -> Iterator[None]:
    """While active, each named site computes linear(x) + branch(x).

    No module or parameter of the backbone is touched; the branch rides on a forward hook, removed
    on the way out, also after an exception. Nested use adds up.

    Raises:
        KeyError: a name is no site; quotes it and the nearest valid one.
    """
    _check(branches, sites)
    with ExitStack() as stack:
        for name, branch in branches.items():
            handle = sites[name].register_forward_hook(_adder(branch))
            stack.callback(handle.remove)
        yield


@contextmanager
def substituted(sites: Mapping[str, nn.Linear], weights: Mapping[str, Tensor]) -> Iterator[None]:
    """While active, each named site multiplies by `weights[name]` (out, in) and not by its own.

    The site's own parameter is laid aside, unread and unwritten, and put back on the way out.

    Raises:
        KeyError: a name is no site; quotes it and the nearest valid one.
    """
    _check(weights, sites)
    own = {name: sites[name].weight for name in weights}
    try:
        for name, weight in weights.items():
            sites[name].weight = nn.Parameter(weight, requires_grad=False)
        yield
    finally:
        for name, parameter in own.items():
            sites[name].weight = parameter


def _check(names: Iterable[str], sites: Mapping[str, nn.Linear]) -> None:
    for name in names:
        if name not in sites:
            raise KeyError(unknown_site(name, list(sites)))


def _adder(branch: nn.Module) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Any]:
    def add(site: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        result: Tensor = output + branch(inputs[0])
        return result

    return add


def unknown_site(name: str, known: list[str]) -> str:
    """The message for a site name that does not exist."""
    if not known:
        return f"no injection site {name!r}: this backbone has none"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    towers = ", ".join(sorted({site.split(".")[0] for site in known}))
    return f"no injection site {name!r} (did you mean {near!r}?); towers with sites: {towers}"
