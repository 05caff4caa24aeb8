"""Branches added to named linears for a while, and taken away again without a trace."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
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
    for name in branches:
        if name not in sites:
            raise KeyError(unknown_site(name, list(sites)))
    with ExitStack() as stack:
        for name, branch in branches.items():
            handle = sites[name].register_forward_hook(_adder(branch))
            stack.callback(handle.remove)
        yield


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
