"""`AugmentSpec`: how training images are cropped and flipped. Importable without torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class AugmentSpec(BaseModel):
    """RandomResizedCrop and horizontal flip; the defaults are CLIP fine-tuning's usual ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    scale: tuple[Number, Number] = (0.08, 1.0)
    """Share of the image's area that a crop covers, from the smallest to the largest."""
    ratio: tuple[Number, Number] = (3 / 4, 4 / 3)
    """Width over height of a crop, drawn log-uniformly."""
    flip: Flag = True
    """Mirror every second image, on average."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is {list(self.scale)}, expected 0 < low <= high <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio is {list(self.ratio)}, expected 0 < low <= high")
        return self


USUAL = AugmentSpec()
"""Of photographs."""
