"""Cells and records joined into data frames: the only place where reports read a `Record`.

Accuracies, calibration errors, gains and changes are percent points, times seconds, memory MiB;
`lost` and `won` count test images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import pandas as pd

from harness.protocols import PROTOCOLS
from harness.store.record import Record, Retention

MISSING = "missing"
"""Status of a planned cell that has no record."""

_LEAD = ["method", "label", "dataset", "shots", "seed", "top1", "per_class_mean", "ece"]
_LEAD += ["zero_shot_top1", "gain", "lost", "won", "images"]
_COST = ["fit_seconds", "score_seconds", "search_seconds", "evaluations", "peak_memory_mib"]
_COST += ["feature_seconds"]
_COST += ["trainable"]
_TAIL = ["protocol", "status", "draw_id", "val_draw_id", "chosen", "cell_id", "note", "backbone"]
_TAIL += ["sampler", "templates", "not_transferable", "by_columns", "failure_kind", "failure"]
_AXES = ["method", "label", "dataset", "shots", "seed", "half", "whole", "origin"]
_COUNTS = ["lost", "won", "images", "evaluations", "trainable"]
_DRAW = ["draw_images", "draw_classes", "draw_classes_short", "val_images"]
_HIDDEN = ["row", "half", "whole", "origin", "beyond"]
"""Columns that are not written to `cells.csv`."""


class PlannedCell(Protocol):
    """What reports need to know of a planned cell; `harness.plan.cell.Cell` has it."""

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def shots(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def protocol(self) -> str: ...
    @property
    def backbone(self) -> str: ...
    @property
    def templates(self) -> tuple[str, ...]: ...
    @property
    def sampler(self) -> str: ...
    @property
    def half(self) -> str | None: ...
    @property
    def whole(self) -> str: ...


def cell_frame(cells: Sequence[PlannedCell], records: Mapping[str, Record]) -> pd.DataFrame:
    """One row per planned cell, in plan order; missing and failed cells have NaN measures.

    Besides the columns of `cells.csv` (see `csv_columns`) it has `row`, the name under which the
    cell's method stands in tables: its label, made unique by protocol and backbone where needed
    and marked always where labels beyond the shots were seen; under base-to-new `half`, "base", and
    `whole`, the data set that it is half of; `origin`, what tells its method from others of one
    name; and `beyond`, whether hyper-parameters were chosen on labels beyond the shots (a method
    that chooses nothing has not).
    """
    rows = [_cell_row(cell, records.get(cell.id)) for cell in cells]
    frame = pd.DataFrame(rows, columns=_columns(rows))
    for name in frame.columns:
        if name in (*_COUNTS, *_DRAW):
            frame[name] = pd.to_numeric(frame[name]).astype("Int64")
        elif name not in (*_TAIL, *_AXES):
            frame[name] = pd.to_numeric(frame[name]).astype("float64")
    frame["beyond"] = _beyond(frame)
    frame["row"] = _row_names(frame)
    return frame


def csv_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of `cells.csv`, in order."""
    return [name for name in frame.columns if name not in _HIDDEN]


def retention_frame(frame: pd.DataFrame, records: Mapping[str, Record]) -> pd.DataFrame:
    """One row per finished cell and retention set.

    Columns: cell_id, row, dataset, set, top1, frozen_top1, change (percent points), `transfer`,
    False where the method has no meaning under other class names, `rule`, how it was carried over
    ("" where it was not), and `half`, "new" for the other half of what was adapted to.
    """
    names = ["cell_id", "row", "dataset", "set", "top1", "frozen_top1", "change", "transfer"]
    names += ["rule", "half"]
    rows: list[tuple[Any, ...]] = []
    done = frame[frame["status"] == "ok"]
    for key in zip(*(done[name] for name in names[:3]), strict=True):
        record = records[key[0]]
        halves = {one.data.name: one.data.half or "" for one in record.identity.stage.held_out}
        for name, kept in sorted(record.retention.items()):
            there = (*_before_and_after(kept), True, kept.rule) if kept else None
            numbers = there or (None, None, None, False, "")
            rows.append((*key, name, *numbers, halves.get(name, "")))
    long = pd.DataFrame(rows, columns=names)
    types = dict.fromkeys(("top1", "frozen_top1", "change"), "float64")
    return long.astype({**types, "transfer": "bool"})


def _cell_row(cell: PlannedCell, record: Record | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": cell.method.replace("\\", "/").rsplit("/", 1)[-1],
        "label": cell.label,
        "dataset": cell.dataset,
        "shots": int(cell.shots),
        "seed": int(cell.seed),
        "protocol": cell.protocol,
        "status": MISSING if record is None else record.status,
        "cell_id": cell.id,
        "note": cell.note,
        "backbone": cell.backbone,
        "sampler": cell.sampler,
        "templates": " | ".join(cell.templates),
        "half": cell.half or "",
        "origin": cell.method,
        "whole": cell.whole,
        "draw_id": "",
        "val_draw_id": "",
        "chosen": "",
        "not_transferable": "",
        "by_columns": "",
        "failure_kind": "",
        "failure": "",
    }
    if record is None:
        return row
    if record.failure is not None:
        row.update(failure_kind=record.failure.kind, failure=record.failure.message)
    if record.status != "ok" or record.metrics is None:
        return row
    for name, value in record.metrics.items():
        row[name if name in _LEAD else f"measure_{name}"] = value
    costs = asdict(record.cost) if record.cost else {}
    row.update({name: costs[name] for name in _COST if name in costs})
    if record.draw:
        row.update(draw_id=record.draw.id, val_draw_id=record.draw.val_id)
        draw = record.draw
        numbers = (draw.images, draw.classes, draw.classes_short, draw.val_images)
        row.update(zip(_DRAW, numbers, strict=True))
    row["chosen"] = json.dumps(record.chosen, sort_keys=True) if record.chosen else ""
    row.update(_retention_columns(record))
    for name, value in record.details.items():
        row[f"detail_{name}"] = value
    return row


def _retention_columns(record: Record) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    changes: list[float] = []
    for name, kept in record.retention.items():
        top1, _, change = _before_and_after(kept)
        columns[f"retention_{name}"] = top1
        columns[f"retention_{name}_change"] = change
        changes += [change] if change is not None else []
    if record.retention:
        # Of all sets or of none: a mean over fewer sets would stand beside means over all of them.
        whole = len(changes) == len(record.retention)
        columns["retention_mean_change"] = sum(changes) / len(changes) if whole else None
    columns["by_columns"] = ";".join(
        sorted(n for n, kept in record.retention.items() if kept and kept.rule == "columns")
    )
    columns["not_transferable"] = ";".join(
        sorted(name for name, kept in record.retention.items() if kept is None)
    )
    return columns


def _before_and_after(kept: Retention | None) -> tuple[float | None, float | None, float | None]:
    """Accuracy on a retention set, the frozen model's, and the change."""
    found = kept.metrics if kept else {}
    return found.get("top1"), found.get("zero_shot_top1"), found.get("gain")


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every column in the order of `cells.csv`; the fixed ones are there even without rows."""
    seen = {name for row in rows for name in row}
    kept = sorted(name for name in seen if name.startswith("retention_"))
    kept = [name for name in kept if name != "retention_mean_change"] + ["retention_mean_change"]
    rest = sorted(seen - {*_LEAD, *kept, *_COST, *_DRAW, *_TAIL, *_HIDDEN})
    return [*_LEAD, *kept, *_COST, *_DRAW, *_TAIL, *rest, "half", "whole", "origin"]


def _beyond(frame: pd.DataFrame) -> pd.Series[bool]:
    """Rows that chose on the whole validation split, also before the first cell has finished."""
    whole = frame["protocol"].map(lambda name: PROTOCOLS[name].beyond_shots).astype(bool)
    tried = frame["evaluations"].astype("float64")  # NaN without a finished cell
    most = tried.groupby([frame["label"], frame["protocol"], frame["backbone"]]).transform("max")
    return whole & ~(most == 0)


def _row_names(frame: pd.DataFrame) -> pd.Series[str]:
    names = frame["label"].astype(str)
    if frame.empty:
        return names
    several = frame.groupby("label")["protocol"].transform("nunique") > 1
    marked = several | frame["beyond"]
    names = names.where(~marked, names + " [" + frame["protocol"].astype(str) + "]")
    if frame["backbone"].nunique() > 1:
        names = names + " @ " + frame["backbone"].astype(str)
    return names
