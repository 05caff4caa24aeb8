"""Where the numbers come from: records' provenance, draws and configurations, aggregated."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.reports.table import Entry, Line, Table
from harness.store.record import Record

_MOMENTS = ("started", "finished")
"""Keys whose values are ISO times, shown as a span."""
_SHOWN = 6
"""Distinct values of one key that are listed before the rest is only counted."""


def provenance_table(records: Sequence[Record]) -> Table:
    """Backbone, protocol, data and every key of the records' provenance, values counted."""
    values: dict[str, Counter[str]] = {}
    for record in records:
        for key, value in _flat({**_identity(record), **record.provenance}):
            values.setdefault(key, Counter())[value] += 1
    lines = []
    for key, counts in sorted(values.items(), key=lambda item: _rank(item[0])):
        if _last(key) in _MOMENTS:
            lines.append(Line(key, (Entry(f"{min(counts)} to {max(counts)}"),)))
            continue
        several = len(counts) > 1
        shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
        shown = [(value or "unknown", n) for value, n in shown]
        texts = [f"{value} ({n:,} cells)" if several else value for value, n in shown]
        more = [f"and {len(counts) - _SHOWN:,} more"] if len(counts) > _SHOWN else []
        lines.append(Line(key, (Entry("; ".join([*texts, *more])),)))
    return Table("provenance", "Software, hardware and model", ("What", "Value"), tuple(lines))


def method_table(frame: pd.DataFrame, records: Mapping[str, Record]) -> Table:
    """Per table row: method, protocol, source hash and the configuration as planned."""
    found: dict[tuple[str, str, str, str, str], int] = {}
    for row, cell_id, protocol in zip(
        frame["row"], frame["cell_id"], frame["protocol"], strict=True
    ):
        if record := records.get(cell_id):
            method = record.cell.get("method") or {}
            config = json.dumps(method.get("config") or {}, sort_keys=True)
            source = str(method.get("source", ""))[:12]
            key = (str(row), str(method.get("name", "")), str(protocol), source, config)
            found[key] = found.get(key, 0) + 1
    lines = [Line(row, tuple(map(Entry, (*rest, f"{n:,}")))) for (row, *rest), n in found.items()]
    head = ("Row", "method", "protocol", "source", "configuration", "cells")
    return Table("methods", "Methods and their configurations", head, tuple(lines))


def draw_table(frame: pd.DataFrame, records: Mapping[str, Record]) -> Table:
    """Every few-shot draw behind the numbers, by its content id."""
    few = frame[(frame["status"] == "ok") & (frame["shots"] > 0) & (frame["draw_id"] != "")]
    few = few.drop_duplicates(["dataset", "shots", "seed", "draw_id"])
    lines = []
    for dataset, shots, seed, cell_id in zip(
        few["dataset"], few["shots"], few["seed"], few["cell_id"], strict=True
    ):
        if draw := records[cell_id].draw:
            val = f"{draw.val_images} ({draw.val_id[:12]})" if draw.val_images else "none"
            texts = (str(shots), str(seed), draw.sampler, draw.id[:12], str(draw.images), val)
            lines.append(Line(str(dataset), tuple(map(Entry, texts))))
    head = ("Data set", "shots", "seed", "sampler", "draw", "images", "val images")
    return Table("draws", "Few-shot draws, identified by their content", head, tuple(lines))


def undone_table(frame: pd.DataFrame) -> Table:
    """Cells without a number, grouped by status and reason, with the first few of each group."""
    undone = frame[frame["status"] != "ok"]
    keys = ["status", "failure_kind", "failure", "row"]
    lines = []
    for (status, kind, message, row), cells in undone.groupby(keys, sort=False, dropna=False):
        names = [
            f"{c.dataset}, {c.shots} shots, seed {c.seed}"
            for c in cells.head(5)[["dataset", "shots", "seed"]].itertuples()
        ]
        names += [f"and {len(cells) - 5:,} more"] if len(cells) > 5 else []
        texts = (str(status), f"{len(cells):,}", _reason(str(kind), str(message)), "; ".join(names))
        lines.append(Line(str(row), tuple(map(Entry, texts))))
    head = ("Method", "status", "cells", "reason", "which")
    return Table("undone", "Cells without a number, by method and reason", head, tuple(lines))


def code_caveats(records: Sequence[Record]) -> list[str]:
    """Warnings on mixed or uncommitted code, read from keys that end in commit or dirty."""
    commits: set[str] = set()
    dirty = 0
    for record in records:
        flat = dict(_flat(record.provenance))
        commits |= {value for key, value in flat.items() if _last(key) == "commit" and value}
        dirty += any(_last(key) == "dirty" and value == "true" for key, value in flat.items())
    found = []
    if len(commits) > 1:
        found.append(f"The cells were run at {len(commits)} different commits.")
    if dirty:
        found.append(f"{dirty:,} cells were run with uncommitted changes in the working tree.")
    return found


def _identity(record: Record) -> dict[str, Any]:
    """What of the cell's identity is not in another table."""
    cell = record.cell
    shared = {key: cell[key] for key in ("backbone", "augment") if cell.get(key)}
    few = {key: cell.get(key) for key in ("protocol", "sampler") if cell.get("shots")}
    data = cell.get("dataset") or {}
    sets = [{**data, "templates": cell.get("templates")}, *(cell.get("retention") or [])]
    known = {}
    for one in sets:
        templates = " | ".join(one.get("templates") or [])
        known[f"data set {one.get('name')}"] = f"{str(one.get('fingerprint'))[:12]}, {templates}"
    return {**shared, **few, **known}


def _reason(kind: str, message: str) -> str:
    return ": ".join(filter(None, [kind, message])) or "no record"


def _rank(key: str) -> tuple[int, str]:
    """Identity first, then the rest by name."""
    first = ("backbone", "protocol", "sampler", "data set", "augment")
    found = [i for i, name in enumerate(first) if key.startswith(name)]
    return (found[0] if found else len(first), key)


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted keys; other values as text."""
    flat: list[tuple[str, str]] = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat += _flat(item, f"{prefix}{key}.")
        else:
            text = "" if item is None else item if isinstance(item, str) else json.dumps(item)
            flat.append((f"{prefix}{key}", text))
    return flat
