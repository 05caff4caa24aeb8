"""Changes to a model that are put on for a while and taken off again, without a trace.

Everything that a method does to a frozen model is one of two: a hook beside a module's output, or
another tensor in a parameter's place. Both can be taken off and put on again at any time, so the
frozen model can be had back in the middle of a training step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from harness.backbones.sites import Place

Replace = Callable[[Tensor, Tensor], Tensor]
"""fn(x, y) → y': of a module's input x and output y."""


class Change(Protocol):
    """What can be put on a model, and taken off so that the model is as before, bit for bit."""

    def on(self) -> None: ...

    def off(self) -> None: ...


class Changes:
    """The changes now in force, in the order in which they were made."""

    def __init__(self) -> None:
        self._in_force: list[Change] = []

    @contextmanager
    def applied(self, change: Change) -> Iterator[None]:
        """`change` is in force inside, and off behind it, also after an exception."""
        change.on()
        self._in_force.append(change)
        try:
            yield
        finally:
            self._in_force.pop()
            change.off()

    @contextmanager
    def laid_aside(self) -> Iterator[None]:
        """Every change is off inside; those that are made inside end inside."""
        aside, self._in_force = self._in_force, []
        for change in reversed(aside):
            change.off()
        try:
            yield
        finally:
            for change in aside:
                change.on()
            self._in_force = aside


class Hooks:
    """fn(x, y) → y' in place of modules' outputs y, where x is the input; fn(x) → x' in place of
    their inputs."""

    def __init__(
        self,
        outputs: Iterable[tuple[nn.Module, Replace]] = (),
        inputs: Iterable[tuple[nn.Module, Callable[[Tensor], Tensor]]] = (),
    ) -> None:
        self._outputs, self._inputs = list(outputs), list(inputs)
        self._handles: list[RemovableHandle] = []

    def on(self) -> None:
        for module, replace in self._outputs:
            self._handles.append(module.register_forward_hook(_replacing(replace)))
        for module, change in self._inputs:
            self._handles.append(module.register_forward_pre_hook(_changing(change)))

    def off(self) -> None:
        while self._handles:
            self._handles.pop().remove()


def _replacing(replace: Replace) -> Callable[..., Tensor]:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return replace(inputs[0], output)

    return hook


def _changing(change: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Any, ...]]:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(inputs[0]), *inputs[1:])

    return hook


class Swap:
    """Other tensors where the parameters were, which are laid aside, unread and unwritten."""

    def __init__(self, tensors: Mapping[Place, Tensor]):
        self._tensors = tensors
        self._before: dict[Place, Tensor] = {}

    def on(self) -> None:
        self._before = {place: place.get() for place in self._tensors}
        _put(self._tensors)

    def off(self) -> None:
        _put(self._before)


def _put(tensors: Mapping[Place, Tensor]) -> None:
    for (module, attribute), tensor in tensors.items():
        # Past `setattr`, which takes parameters only: through them no gradient would flow.
        module._parameters[attribute] = tensor  # type: ignore[assignment]
