"""`Record`: one cell's result with everything that says how it was obtained.

Accuracies, calibration errors and their differences are in percent points, times in seconds,
memory in MiB (2^20 bytes).
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict  # pydantic asks for it before Python 3.12

from harness.canonical import digest
from harness.store.identity import SCHEMA, STRICT, Identity, in_one_piece
from harness.wording import UNKNOWN, Where, explain, show

__all__ = ["SCHEMA", "CorruptRecord", "LaterRecord", "Record"]

Status = Literal["ok", "failed", "skipped"]
Rule = Literal["rebind", "columns"]
"""How a classifier was carried over to a held-out set: see `harness.run.transfer`."""
Kind = Literal["method", "data", "memory", "time", "infrastructure", "not_applicable"]
Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]

BOUNDS = {
    **dict.fromkeys(("top1", "per_class_mean", "ece", "zero_shot_top1"), (0, 100)),
    "gain": (-100, 100),
    **dict.fromkeys(("images", "lost", "won"), (0, float("inf"))),
}
"""What the measures that every record carries can be."""


class CorruptRecord(ValueError):
    """A result file that is not a whole, valid record."""


class LaterRecord(ValueError):
    """A record of a later version: whole, perhaps, but not to be judged by this one."""


def _possible(metrics: dict[str, int | float]) -> dict[str, int | float]:
    for name, (low, high) in BOUNDS.items():
        if name in metrics and not low <= metrics[name] <= high:
            raise ValueError(f"{name} is {metrics[name]:g}, expected {low:g} to {high:g}")
    return metrics


Metrics = Annotated[dict[str, int | float], AfterValidator(_possible)]
"""Measures by name (see `harness.run.measures`), as finite numbers; those that compare with the
frozen model are not there where a data set of features brings no text features."""


@dataclass(frozen=True, config=STRICT)
class Retention:
    """The same measures on a data set that was not adapted to: `top1` after adaptation,
    `zero_shot_top1` before, `gain` the change, negative where the model has forgotten."""

    metrics: Metrics
    rule: Rule


@dataclass(frozen=True, config=STRICT)
class Cost:
    fit_seconds: float
    score_seconds: float
    search_seconds: float
    evaluations: Count
    """Candidate configurations tried by the protocol's search; 0 under `fixed`."""
    peak_memory_mib: float
    trainable: Count
    feature_seconds: float = 0.0
    """Spent on frozen features that other cells then find in the cache; not in the other times."""
    work: dict[str, int] = field(default_factory=dict)
    """What the fit asked of the encoders (`harness.task.Work`), and how many images were scored."""


@dataclass(frozen=True, config=STRICT)
class Draw:
    """The few-shot draw. Identified by its content, never by its seed alone."""

    id: str
    sampler: str
    images: Count
    """Different ones: a sampler may repeat an image."""
    val_id: str
    val_images: Count
    classes: Count = 0
    classes_short: Count = 0
    """Of these, how many gave fewer images than the shots asked for."""


@dataclass(frozen=True, config=STRICT)
class Failure:
    kind: Kind
    message: str
    traceback: str
    attempt: int


@with_config(STRICT)
class Trial(TypedDict):
    """A candidate of a search, its accuracy, and on what that was measured."""

    config: dict[str, Any]
    top1: Percent
    on: Literal["val", "test"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class StageResult:
    """What came of one stage of a setting."""

    metrics: Metrics
    retention: dict[str, Retention | None] = field(default_factory=dict)
    draw: Draw | None = None
    details: dict[str, float] = field(default_factory=dict)
    search: list[Trial] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, config=STRICT)
class Record:
    id: str
    """That of the identity."""
    label: str
    """The method's name in reports, as the suite that ran the cell put it."""
    identity: Identity
    """Everything that can change the numbers below."""
    status: Status
    metrics: Metrics | None = None
    """On the test split of what was adapted to; of the last stage, as are the next five."""
    retention: dict[str, Retention | None] = field(default_factory=dict)
    """By held-out set; None where the method has no meaning under other class names (n/a)."""
    cost: Cost | None = None
    """Of all stages."""
    draw: Draw | None = None
    details: dict[str, float] = field(default_factory=dict)
    """What the method reports of itself, e.g. `subspace_leakage_left`."""
    search: list[Trial] = field(default_factory=list)
    """Every candidate that the protocol's search tried."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """The configuration that was finally fitted."""
    earlier: list[StageResult] = field(default_factory=list)
    """The stages before the last, of a sequence of tasks."""
    provenance: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Indented JSON with sorted keys: same record, same bytes.

        Raises:
            ValueError: NaN or infinity in it.
        """
        found = _ADAPTER.dump_python(self, mode="python", exclude={"identity"})
        found["identity"] = self.identity.plain
        return json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Parse `to_json`'s output.

        Raises:
            CorruptRecord: not JSON, a key is missing or a value not of its type or range, an older
                schema, or an id that is not the identity's.
            LaterRecord: of a later schema, or with keys that this version does not know.
        """
        try:
            record = _ADAPTER.validate_json(text)
        except ValidationError as error:
            raise _refusal(text, error) from None
        if record.schema != SCHEMA:
            raise _of_schema(record.schema)
        if digest(in_one_piece(record.identity)) != record.id:
            raise CorruptRecord("its id is not the hash of its identity: the file was changed")
        return record


_ADAPTER = TypeAdapter(Record)


def _refusal(text: str, error: ValidationError) -> ValueError:
    """Why a text is no record, in our words."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as wrong:
        return CorruptRecord(f"line {wrong.lineno}: not JSON: {wrong.msg}")
    if not isinstance(data, dict):
        return CorruptRecord(f"expected a JSON object, found {type(data).__name__}")
    if data.get("schema") != SCHEMA:
        return _of_schema(data.get("schema"))
    problems = error.errors(include_url=False)
    wrong_ones = [problem for problem in problems if problem["type"] not in UNKNOWN]
    if not wrong_ones:
        place = show(problems[0]["loc"])
        return LaterRecord(f'written by a later version: it has a key "{place}"')
    first = wrong_ones[0]
    return CorruptRecord(f"{show(_place(first['loc']))}: {explain(first, _ADAPTER.json_schema())}")


def _place(where: Where) -> Where:
    """Without the tag by which pydantic tells the kinds of a number apart."""
    return where[:-1] if where[-1] in ("int", "float") else where


def _of_schema(schema: Any) -> ValueError:
    if isinstance(schema, int) and schema > SCHEMA:
        return LaterRecord(f"written by a later version: result schema {schema}, here {SCHEMA}")
    return CorruptRecord(f"schema {schema!r}, this version reads {SCHEMA}")
