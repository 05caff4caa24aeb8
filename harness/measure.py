"""What a measure sees (`Scored`) and what makes a function one (`measure`).

A measure is a function of what was scored: it reads logits and labels, never a model or an image.
Whoever writes one imports this module alone; those that every record carries are in
`harness.run.measures`. Shapes are written with n images and C classes; all tensors are on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

from torch import Tensor

from harness.errors import HarnessError
from harness.wording import named

PERCENT = "percent points"

Function = Callable[["Scored"], "float | None"]


@dataclass(frozen=True)
class Scored:
    """A classifier's logits on a test or retention set, beside the frozen model's."""

    logits: Tensor
    """(n, C) float32."""
    frozen_logits: Tensor | None
    """(n, C) float32, the frozen model's on the same images; None where there is no text."""
    labels: Tensor
    """(n,) int64."""
    classes: tuple[str, ...]
    """C names, in label order."""
    support_counts: Tensor
    """(C,) int64, how many support images each class had; zeros on a retention set."""

    @cached_property
    def predictions(self) -> Tensor:
        """(n,) int64."""
        return self.logits.argmax(-1)

    @cached_property
    def frozen_predictions(self) -> Tensor | None:
        """(n,) int64, or None."""
        return None if self.frozen_logits is None else self.frozen_logits.argmax(-1)

    def copy(self) -> Scored:
        """The same in tensors of its own, for code that might write into what it is given."""
        frozen = None if self.frozen_logits is None else self.frozen_logits.clone()
        counts = self.support_counts.clone()
        return Scored(self.logits.clone(), frozen, self.labels.clone(), self.classes, counts)


class MeasureError(HarnessError):
    """A measure failed or returned no number; names it."""


@dataclass(frozen=True)
class Measure:
    """A named function of what was scored; None where it has no meaning there."""

    function: Function
    unit: str = ""
    higher_is_better: bool | None = None
    """None for what is neither good nor bad, such as a count of images."""

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, scored: Scored) -> float | None:
        """The measure of `scored`.

        Raises:
            MeasureError: the function failed, or returned something else than a finite number or
                None.
        """
        try:
            found = self.function(scored)
        except Exception as error:  # somebody else's code
            what = named(error)
            raise MeasureError(f'measure "{self.name}": {what}') from error
        value = found.item() if isinstance(found, Tensor) and found.numel() == 1 else found
        if value is None or (_is_number(value) and math.isfinite(value)):
            return value
        shape = f"a tensor of shape {tuple(found.shape)}" if isinstance(value, Tensor) else None
        what = shape or repr(found)
        raise MeasureError(f'measure "{self.name}" returned {what}, expected a finite number')


def measure(
    unit: str = PERCENT, higher_is_better: bool | None = True
) -> Callable[[Function], Measure]:
    """Makes a function a `Measure`, as `@measure(unit="images", higher_is_better=None)`."""
    return lambda function: Measure(function, unit, higher_is_better)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
