"""Numbers from papers, with everything that says how they were obtained, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class BadPublished(ValueError):
    """A file of published numbers that does not say what it must."""


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
        BadPublished: naming file, place and what is wrong there.
    """
    return tuple(_read(path) for path in sorted(folder.glob("*.yaml")))


def _read(path: Path) -> Published:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Published.model_validate(data)
    except yaml.YAMLError as error:
        raise BadPublished(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise BadPublished(f"{path}: {where}: {first['msg']}") from None
