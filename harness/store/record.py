"""`Record`: one cell's result with everything that says how it was obtained.

Accuracies, calibration errors and their differences are in percent points, times in seconds,
memory in MiB (2^20 bytes).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.canonical import content_id

SCHEMA = 1
"""Raised whenever a change of the engine can change a number: every older record becomes stale."""

Status = Literal["ok", "failed", "skipped"]
Rule = Literal["rebind", "columns"]
"""How a classifier was carried over to a retention set: see `harness.run.transfer`."""


class CorruptRecord(ValueError):
    """A result file that is not a whole, valid record."""


@dataclass(frozen=True)
class Metrics:
    """How the classifier does on the test set of the data set it was adapted to."""

    images: int
    top1: float
    per_class_mean: float
    ece: float
    """Expected calibration error, 15 equal-width bins."""
    zero_shot_top1: float | None = None
    """The frozen model on the same images under the same template; None, as are the next three,
    where a data set of features brings no text features."""
    gain: float | None = None
    """top1 − zero_shot_top1."""
    lost: int | None = None
    """Images right under zero-shot and wrong after adaptation."""
    won: int | None = None
    """Images wrong under zero-shot and right after adaptation."""


@dataclass(frozen=True)
class Retention:
    """Zero-shot accuracy on a data set that was not adapted to, after and before adaptation."""

    images: int
    top1: float
    frozen_top1: float
    change: float
    """top1 − frozen_top1: negative where the model has forgotten."""
    rule: Rule = "rebind"


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
    val_id: str
    val_images: int


@dataclass(frozen=True)
class Failure:
    kind: Literal["method", "data", "memory", "infrastructure", "not_applicable"]
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
            data["metrics"] = data["metrics"] and Metrics(**data["metrics"])
            data["cost"] = data["cost"] and Cost(**data["cost"])
            data["draw"] = data["draw"] and Draw(**data["draw"])
            data["failure"] = data["failure"] and Failure(**data["failure"])
            data["retention"] = {k: v and Retention(**v) for k, v in data["retention"].items()}
        except (TypeError, AttributeError) as error:
            raise CorruptRecord(f"a field has the wrong shape: {error}") from None
        if content_id(data["cell"]) != data["id"]:
            raise CorruptRecord("its id is not the hash of its cell: the file was changed")
        return cls(**data)
