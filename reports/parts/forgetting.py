"""Forgetting: what adaptation changed on data sets that were not adapted to, and in-domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.reports.entries import NOT_TRANSFERABLE, line, mean_entry, named
from harness.reports.part import Part
from harness.reports.parts.transfer import COLUMNS_NOTE, carried, kept_entry
from harness.reports.standing import Standing
from harness.reports.study import Study
from harness.reports.summary import average, mean_at
from harness.reports.table import Table, missing


class Forgetting(Part):
    """One table per number of shots: the change on every retention set, and in-domain flips."""

    name, title = "forgetting", "Forgetting"

    def tables(self, study: Study) -> Sequence[Table]:
        return forgetting_tables(study.grid, study.retention, study.standing)


def forgetting_tables(grid: pd.DataFrame, retention: pd.DataFrame, at: Standing) -> list[Table]:
    """One table per number of shots: the change on every retention set, and in-domain flips."""
    flips = grid.assign(
        lost_share=100 * grid["lost"].astype("float64") / grid["images"].astype("float64"),
        won_share=100 * grid["won"].astype("float64") / grid["images"].astype("float64"),
    )
    lost, won = average(flips, "lost_share"), average(flips, "won_share")
    names = list(retention["set"].drop_duplicates().sort_values())
    parts = {name: _retention_part(grid, retention, name) for name in names}
    rules = carried(retention)
    notes = [*_KEPT_NOTES, *([] if at.transferable.all() else [NOT_TRANSFERABLE])]
    notes += [*([COLUMNS_NOTE] if "columns" in rules.values() else []), *at.drawn.notes]
    tables = []
    for k in at.shots:
        lines = []
        for row in at.info.index:
            entries = []
            for name, table in {"mean": at.change, **parts}.items():
                rule = rules.get((str(row), name), "rebind")
                entries.append(kept_entry(mean_at(table, row, k), rule, signed=True))
            entries += [mean_entry(mean_at(table, row, k)) for table in (lost, won)]
            lines.append(line(at, row, entries))
        head = ("Method", "mean change", *names, "lost in-domain", "won in-domain")
        caption = f"Forgetting at {at.drawn.name(k)}: change of zero-shot accuracy, points"
        data = _forgetting_data(at, k, parts, rules, lost, won)
        tables.append(Table(f"forgetting_{k}", caption, head, tuple(lines), data, tuple(notes)))
    return tables


_KEPT_NOTES = (
    "Means over the data sets adapted to ± 95 % t interval over distinct draws (n); negative: "
    "forgotten.",
    "lost, won: share of in-domain test images right before and wrong after adaptation, and the "
    "converse, in %.",
)


def _retention_part(grid: pd.DataFrame, retention: pd.DataFrame, name: str) -> pd.DataFrame:
    """Average change on one retention set, with the frozen accuracy."""
    one = retention[retention["set"] == name]
    cells = grid[grid["dataset"].isin(one["dataset"].unique())]
    table = average(cells.assign(change=cells["cell_id"].map(_by_cell(one, "change"))), "change")
    table["frozen"] = one.groupby("dataset")["frozen_top1"].mean().mean()
    return table


def _by_cell(one: pd.DataFrame, name: str) -> dict[str, float]:
    return dict(zip(one["cell_id"], one[name], strict=True))


def _forgetting_data(
    at: Standing,
    k: int,
    parts: dict[str, pd.DataFrame],
    rules: dict[tuple[str, str], str],
    lost: pd.DataFrame,
    won: pd.DataFrame,
) -> pd.DataFrame:
    rows = []
    for row in at.info.index:
        flips = {"lost_percent": lost.at[(row, k), "mean"], "won_percent": won.at[(row, k), "mean"]}
        for name, table in {"mean": at.change, **parts}.items():
            if (row, k) not in table.index:
                continue
            cell: Any = table.loc[(row, k)]
            rule = rules.get((str(row), name), "rebind")
            state = "n/a" if not rule else "missing" if missing(cell["mean"]) else "ok"
            rows.append(
                {
                    "row": row,
                    "shots": k,
                    "retention_set": name,
                    "change": cell["mean"],
                    "half": cell["half"],
                    "frozen_top1": cell.get("frozen"),
                    "draws": int(cell["draws"]),
                    "cells": int(cell["cells"]),
                    "planned": int(cell["planned"]),
                    "transfer": state,
                    "rule": rule,
                    **flips,
                }
            )
    return named(pd.DataFrame(rows), at) if rows else pd.DataFrame()
