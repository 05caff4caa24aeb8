"""`Identity`: everything that can change a cell's number and nothing else, hashed into its id.

Typed by pydantic dataclasses: strict when they are made and when they are read, fast enough for
ten thousand records (docs/performance.md), and no dependency beside those there are.

The canonical JSON leaves out what is None. So a part that is added later, None by default, changes
the id of no cell that does without it.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from harness.canonical import canonical, digest
from harness.protocols import PROTOCOLS, LabelAccess

SCHEMA = 2
"""Raised whenever a change of the engine can change a number: every older record becomes stale."""

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No value passes as one of another type, no key is unknown, no number is NaN or infinite."""

Half = Literal["base", "new"]
Triple = tuple[float, float, float]
Positive = Annotated[int, Field(gt=0)]


class _Canonical:
    """A part of an identity: cells share them, so its JSON is made once."""

    @cached_property
    def canonical(self) -> str:
        """Canonical JSON, without what is None."""
        return in_one_piece(self)

    @property
    def plain(self) -> dict[str, Any]:
        """The same as Python's dictionaries, lists, texts and numbers."""
        found: dict[str, Any] = json.loads(self.canonical)
        return found


def in_one_piece(part: _Canonical) -> str:
    """Canonical JSON of a part or of the whole: the faster way where nothing of it is shared."""
    cls: Any = type(part)
    return canonical(_adapter(cls).dump_python(part, exclude_none=True))


@cache
def _adapter(part: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(part)


@dataclass(frozen=True, config=STRICT)
class MethodIdentity(_Canonical):
    """A method under one complete configuration."""

    name: str
    config: dict[str, Any]
    source: str
    """SHA-256 of its file and of what that imports from beside it."""
    search: dict[str, list[Any]] | None = None
    """What the suite puts in the place of the method's own search space."""


@dataclass(frozen=True, config=STRICT)
class Preprocessing(_Canonical):
    """How an image becomes the model's input."""

    size: Positive
    """Side of the square input, in pixels."""
    mean: Triple
    std: Triple
    interpolation: str
    resize_mode: str


@dataclass(frozen=True, config=STRICT)
class BackboneIdentity(_Canonical):
    name: str
    weights: str
    """The fingerprint (see `harness.backbones.weights`)."""
    precision: str
    preprocessing: Preprocessing | None = None
    """None of a model that is only described: its features were made elsewhere."""


@dataclass(frozen=True, config=STRICT)
class DataIdentity(_Canonical):
    """A data set as a cell uses it, or half of its classes."""

    name: str
    fingerprint: str
    templates: tuple[str, ...]
    half: Half | None = None
    """Which half a setting made of it."""
    whole: str | None = None
    """The name of the data set that it is half of."""


@dataclass(frozen=True, config=STRICT)
class HeldOutIdentity(_Canonical):
    """A test set beside the one adapted to."""

    data: DataIdentity
    transfer: Literal["columns"] | None = None
    """Whether its classes are among those adapted to, so that every classifier applies to it."""


@dataclass(frozen=True, config=STRICT)
class StageIdentity(_Canonical):
    """What is adapted to, and tested on its own test split; and what else is tested on."""

    adapt: DataIdentity
    held_out: tuple[HeldOutIdentity, ...] = ()


@dataclass(frozen=True, config=STRICT)
class DrawIdentity(_Canonical):
    sampler: str
    """Its name; of a plug-in with its source's SHA-256; of a file `file:` and its content's."""
    shots: Positive
    seed: Annotated[int, Field(ge=0)]
    options: dict[str, Any] | None = None
    """All of them; None of a sampler that has none."""
    source: str | None = None
    """SHA-256 of a plug-in's source; None of the project's own samplers and of files."""


@dataclass(frozen=True, config=STRICT)
class MeasureIdentity(_Canonical):
    """A measure that a suite asks for beside those that every record carries."""

    name: str
    source: str
    """SHA-256 of its file and of what that imports from beside it."""


@dataclass(frozen=True, config=STRICT)
class AugmentIdentity(_Canonical):
    """How support images are cropped and flipped (see `harness.features.augment`)."""

    scale: tuple[float, float]
    ratio: tuple[float, float]
    flip: bool


def _known(protocol: str) -> str:
    if protocol not in PROTOCOLS:
        raise ValueError(f'unknown protocol "{protocol}" (known: {", ".join(PROTOCOLS)})')
    return protocol


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Axes(_Canonical):
    """What varies between the cells that adapt to one data set."""

    method: MethodIdentity
    protocol: Annotated[str, AfterValidator(_known)]
    draw: DrawIdentity | None = None
    """None where the method ignores the support set."""
    augment: AugmentIdentity | None = None

    @property
    def access(self) -> LabelAccess:
        """Which labels the method sees."""
        return PROTOCOLS[self.protocol]

    @property
    def shots(self) -> int:
        """0 without a draw."""
        return 0 if self.draw is None else self.draw.shots

    @property
    def seed(self) -> int:
        """0 without a draw."""
        return 0 if self.draw is None else self.draw.seed

    @property
    def sampler(self) -> str:
        """Its name, or "file"; "none" without a draw."""
        return "none" if self.draw is None else self.draw.sampler.partition(":")[0]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Identity(Axes):
    """What a cell is: its axes, and what its data set and backbone are."""

    backbone: BackboneIdentity
    stages: Annotated[tuple[StageIdentity, ...], Field(min_length=1)]
    measures: Annotated[tuple[MeasureIdentity, ...], Field(min_length=1)] | None = None
    """None where the suite asks for none."""
    schema: Positive = SCHEMA

    @cached_property
    def canonical(self) -> str:
        """Canonical JSON, put together from what its parts have made already."""
        pairs = ((name, getattr(self, name)) for name in _IN_ORDER)
        found = [f'"{name}":{_json(value)}' for name, value in pairs if value is not None]
        return f"{{{','.join(found)}}}"

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
        return digest(self.canonical)

    @property
    def stage(self) -> StageIdentity:
        """The stage whose numbers stand for the cell: the last, and mostly the only one."""
        return self.stages[-1]

    @property
    def data(self) -> DataIdentity:
        """What that stage adapts to."""
        return self.stage.adapt


_IN_ORDER = sorted(field.name for field in fields(Identity))


def _json(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(part.canonical for part in value)}]"
    return value.canonical if isinstance(value, _Canonical) else canonical(value)
