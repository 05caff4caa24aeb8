"""`Record`: one cell's result with everything that says how it was obtained.

Accuracies, calibration errors and their differences are in percent points, times in seconds,
memory in MiB (2^20 bytes).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Literal

from harness.canonical import content_id

SCHEMA = 2
"""Raised whenever a change of the engine can change a number: every older record becomes stale."""

Status = Literal["ok", "failed", "skipped"]
Rule = Literal["rebind", "columns"]
"""How a classifier was carried over to a retention set: see `harness.run.transfer`."""


class CorruptRecord(ValueError):
    """A result file that is not a whole, valid record."""


Metrics = dict[str, float]
"""Measures by name (see `harness.run.measures`), as finite numbers; those that compare with the
frozen model are not there where a data set of features brings no text features."""


@dataclass(frozen=True)
class Retention:
    """The same measures on a data set that was not adapted to: `top1` after adaptation,
    `zero_shot_top1` before, `gain` the change, negative where the model has forgotten."""

    metrics: Metrics
    rule: Rule


@dataclass(frozen=True)
class Cost:
    fit_seconds: float
    score_seconds: float
    search_seconds: float
    evaluations: int
    """Candidate configurations tried by the protocol's search; 0 under `fixed`."""
    peak_memory_mib: float
    trainable: int
    feature_seconds: float = 0.0
    """Spent on frozen features that other cells then find in the cache; not in the other times."""
    work: dict[str, int] = field(default_factory=dict)
    """What the fit asked of the encoders (`harness.task.Work`), and how many images were scored."""


@dataclass(frozen=True)
class Draw:
    """The few-shot draw. Identified by its content, never by its seed alone."""

    id: str
    sampler: str
    images: int
    """Different ones: a sampler may repeat an image."""
    val_id: str
    val_images: int
    classes: int = 0
    classes_short: int = 0
    """Of these, how many gave fewer images than the shots asked for."""


@dataclass(frozen=True)
class Failure:
    kind: Literal["method", "data", "memory", "time", "infrastructure", "not_applicable"]
    message: str
    traceback: str
    attempt: int


@dataclass(frozen=True)
class Record:
    id: str
    """SHA-256 of the cell's identity (see `harness.plan.expand.Cell.id`)."""
    label: str
    """The method's name in reports, as the suite that ran the cell put it."""
    cell: dict[str, Any]
    """The cell's identity: everything that can change the numbers below."""
    status: Status
    metrics: Metrics | None = None
    retention: dict[str, Retention | None] = field(default_factory=dict)
    """By retention set; None where the method has no meaning under other class names (n/a)."""
    cost: Cost | None = None
    draw: Draw | None = None
    details: dict[str, float] = field(default_factory=dict)
    """What the method reports of itself, e.g. `subspace_leakage_left`."""
    search: list[dict[str, Any]] = field(default_factory=list)
    """Per candidate: {"config": …, "top1": accuracy in percent, "on": "val" | "test"}."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """The configuration that was finally fitted."""
    provenance: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Indented JSON with sorted keys: same record, same bytes. NaN is refused."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Parse `to_json`'s output.

        Raises:
            CorruptRecord: not JSON, or a key is missing, unknown, or of another schema version.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise CorruptRecord(f"line {error.lineno}: not JSON: {error.msg}") from None
        if not isinstance(data, dict):
            raise CorruptRecord(f"expected a JSON object, found {type(data).__name__}")
        if data.get("schema") != SCHEMA:
            raise CorruptRecord(f"schema {data.get('schema')!r}, this version reads {SCHEMA}")
        known = {f.name for f in fields(cls)}
        if set(data) != known:
            raise CorruptRecord(f"missing or unknown keys: {sorted(known ^ set(data))}")
        try:
            data["cost"] = data["cost"] and Cost(**data["cost"])
            data["draw"] = data["draw"] and Draw(**data["draw"])
            data["failure"] = data["failure"] and Failure(**data["failure"])
            data["retention"] = {k: v and Retention(**v) for k, v in data["retention"].items()}
            for found in (data["metrics"], *(v and v.metrics for v in data["retention"].values())):
                _check_metrics(found)
        except (TypeError, AttributeError) as error:
            raise CorruptRecord(f"a field has the wrong shape: {error}") from None
        if content_id(data["cell"]) != data["id"]:
            raise CorruptRecord("its id is not the hash of its cell: the file was changed")
        return cls(**data)


def _check_metrics(found: Any) -> None:
    """Raises CorruptRecord unless `found` is None or names finite numbers."""
    if found is None:
        return
    if not isinstance(found, dict):
        raise CorruptRecord(f"metrics are {type(found).__name__}, expected numbers by name")
    for name, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and isfinite(value)):
            raise CorruptRecord(f"{name} is {value!r}, expected a finite number")
