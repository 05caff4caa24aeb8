"""Software, hardware, model and data behind the numbers: records' provenance, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.errors import few
from harness.reports.dotted import flat, last_of
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table
from harness.store.record import Record

_MOMENTS = ("started", "finished")
"""Keys whose values are ISO times, shown as a span."""
_SHOWN = 6
"""Distinct values of one key that are listed before the rest is only counted."""


class Provenance(Part):
    """Backbone, protocol, data sets and every key of the records' provenance."""

    name, title = "provenance", "Provenance"
    folded = True
    words = True

    def tables(self, study: Study) -> Sequence[Table]:
        return [provenance_table(list(study.records.values()))]


def provenance_table(records: Sequence[Record]) -> Table:
    """Backbone, protocol, data and every key of the records' provenance, values counted."""
    values: dict[str, Counter[str]] = {}
    for record in records:
        for key, value in flat({**_identity(record), **record.provenance}):
            values.setdefault(key, Counter())[value] += 1
    lines = []
    for key, counts in sorted(values.items(), key=lambda item: _rank(item[0])):
        if last_of(key) in _MOMENTS:
            lines.append(Line(key, (Entry(f"{min(counts)} to {max(counts)}"),)))
            continue
        several = len(counts) > 1
        shown = [
            (value or "unknown", n)
            for value, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        texts = [f"{value} ({n:,} cells)" if several else value for value, n in shown]
        lines.append(Line(key, (Entry(few(texts, _SHOWN, "; ")),)))
    return Table("provenance", "Software, hardware and model", ("What", "Value"), tuple(lines))


def _identity(record: Record) -> dict[str, Any]:
    """What of the cell's identity is not in another table."""
    cell = record.identity
    shared: dict[str, Any] = {"backbone": cell.backbone.plain}
    if cell.augment is not None:
        shared["augment"] = cell.augment.plain
    if cell.draw is not None:
        shared |= {"protocol": cell.protocol, "sampler": cell.draw.sampler}
    for stage in cell.stages:
        for data in (stage.adapt, *(one.data for one in stage.held_out)):
            templates = " | ".join(data.templates)
            shared[f"data set {data.name}"] = f"{data.fingerprint[:12]}, {templates}"
    return shared


def _rank(key: str) -> tuple[int, str]:
    """Identity first, then the rest by name."""
    first = ("backbone", "protocol", "sampler", "data set", "augment")
    found = [i for i, name in enumerate(first) if key.startswith(name)]
    return (found[0] if found else len(first), key)
