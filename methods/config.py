"""Types of a Config's fields: what a setting may be, checked when a Config is made.

A Config is a frozen dataclass, pydantic's (checked by its constructor) or the standard library's
(checked when a suite is read). A boolean is no number, and a word no boolean.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

Count = Annotated[int, Field(strict=True, ge=0)]
"""A whole number from 0 up."""
AtLeastOne = Annotated[int, Field(strict=True, ge=1)]
"""A whole number from 1 up."""
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
"""A number above 0."""
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
"""A number from 0 up."""
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
"""A number from 0 to 1."""
ProperShare = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""A number from 0 up, below 1."""


def require(holds: bool, config: Any, field: str, expected: str) -> None:
    """For what depends on two fields: `ValueError("views = 2: expected 0 unless …")`."""
    if not holds:
        raise ValueError(f"{field} = {getattr(config, field)!r}: expected {expected}")
