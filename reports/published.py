"""Numbers from papers, with everything that says how they were obtained, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.plan.yaml_lines import read, refused


class Number(BaseModel):
    """One printed number, in percent (or points, where it is a difference)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    value: float
    shots: Annotated[int, Field(ge=0)] | None = None
    """0 for a method without support; None where the source does not say."""
    measure: Literal["top1", "retention_mean_change"] = "top1"
    minus: str | None = None
    """The value is a difference to this method's."""
    config: dict[str, Any] = {}
    """Settings that a row must have to be comparable."""


class Published(BaseModel):
    """The numbers of one paper under one protocol. Empty or null: not stated where it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str
    read_in: Literal["paper", "abstract", "code", "notes"]
    """Where the numbers were read."""
    primary: bool
    """Whether that was a primary source: the paper itself or its authors' code."""
    comment: str = ""
    backbones: tuple[str, ...]
    """Names of the backbone as this project's records have it."""
    datasets: tuple[str, ...]
    """The numbers are means over these."""
    protocol: str | None = None
    sampler: str | None = None
    templates: tuple[str, ...] = ()
    """For every data set; empty: each data set's own."""
    draws: int | None = None
    tolerance: Annotated[float, Field(gt=0)] = 0.5
    """Up to this difference, in points, ours counts as reproduced."""
    numbers: Annotated[tuple[Number, ...], Field(min_length=1)]


def load_published(folder: Path) -> tuple[Published, ...]:
    """Every `*.yaml` of the folder, by name; nothing where there is no folder.

    Raises:
        HarnessError: naming file, place and what is wrong there.
    """
    return tuple(_read(path) for path in sorted(folder.glob("*.yaml")))


def _read(path: Path) -> Published:
    data, lines = read(path)
    try:
        return Published.model_validate(data)
    except ValidationError as error:
        raise refused(path, lines, error, Published.model_json_schema()) from None
