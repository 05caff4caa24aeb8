"""The rows and the configurations behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table
from harness.store.record import Record


class Methods(Part):
    """Per row: method, protocol, source hash and the configuration as planned."""

    name, title = "methods", "Provenance"
    folded = True
    words = True

    def tables(self, study: Study) -> Sequence[Table]:
        return [method_table(study.frame, study.records)]


def method_table(frame: pd.DataFrame, records: Mapping[str, Record]) -> Table:
    """Per table row: method, protocol, source hash and the configuration as planned."""
    found: dict[tuple[str, str, str, str, str], int] = {}
    for row, cell_id, protocol in zip(
        frame["row"], frame["cell_id"], frame["protocol"], strict=True
    ):
        if record := records.get(cell_id):
            method = record.identity.method
            config = json.dumps(method.config, sort_keys=True)
            key = (str(row), method.name, str(protocol), method.source[:12], config)
            found[key] = found.get(key, 0) + 1
    lines = [Line(row, tuple(map(Entry, (*rest, f"{n:,}")))) for (row, *rest), n in found.items()]
    head = ("Row", "method", "protocol", "source", "configuration", "cells")
    return Table("methods", "Methods and their configurations", head, tuple(lines))
