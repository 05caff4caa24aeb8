"""The other tables: per data set, forgetting, paired differences, and cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.reports.leaderboard import Standing, line, mean_entry, named, shots_name
from harness.reports.stats import Interval
from harness.reports.summary import average, differences, mean_at, per_dataset
from harness.reports.table import NONE, NOT_APPLICABLE, Entry, Table, interval, missing, number
from harness.reports.transfer import COLUMNS_NOTE, carried, kept_entry

_VALUES = ["top1", "per_class_mean", "ece", "gain"]


def dataset_tables(grid: pd.DataFrame, at: Standing) -> list[Table]:
    """One table per data set: method × shots, top-1 with its interval over draws."""
    if not len(grid):
        return []
    stats = per_dataset(grid, _VALUES)
    frozen = grid.groupby("dataset")["zero_shot_top1"].mean()
    tables = []
    for dataset in grid["dataset"].unique():
        lines = []
        for row in at.info.index:
            entries = [_dataset_entry(stats, (dataset, row, k)) for k in at.shots]
            lines.append(line(at, row, entries))
        caption = f"{dataset}: top-1, % (frozen zero-shot {number(frozen[dataset])})"
        part = stats.loc[[dataset]].reset_index()
        head = ("Method", *(shots_name(k) for k in at.shots))
        tables.append(Table(str(dataset), caption, head, tuple(lines), named(part, at)))
    return tables


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
    notes = (*_KEPT_NOTES, COLUMNS_NOTE) if "columns" in rules.values() else _KEPT_NOTES
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
        caption = f"Forgetting at {shots_name(k)}: change of zero-shot accuracy, points"
        data = _forgetting_data(at, k, parts, rules, lost, won)
        tables.append(Table(f"forgetting_{k}", caption, head, tuple(lines), data, notes))
    return tables


_KEPT_NOTES = (
    "Means over the data sets adapted to ± 95 % t interval over draws; negative: forgotten.",
    "lost, won: share of in-domain test images right before and wrong after adaptation, and the "
    "converse, in %. n/a: not transferable to other class names.",
)


def reference_row(at: Standing) -> str | None:
    """What the paired table compares with: LoRA where it was run, else the leader."""
    fair = at.info[at.info["fair"]]
    lora = fair.index[fair["method"] == "lora"]
    return str(lora[0]) if len(lora) else (str(at.order[0]) if len(fair) else None)


def paired_table(grid: pd.DataFrame, at: Standing, reference: str) -> Table:
    """Every method minus the reference, draw by draw: top-1 and mean change on retention sets."""
    top1 = differences(grid, "top1", reference)
    change = differences(grid, "retention_mean_change", reference)
    lines, records = [], []
    for row in (row for row in at.info.index if row != reference):
        entries = []
        for measure, table in (("top1", top1), ("retention_change", change)):
            for k in at.shots:
                gap = table.get((row, k))
                applicable = measure == "top1" or bool(at.transferable[row])
                entries.append(_gap_entry(gap) if applicable else Entry(NOT_APPLICABLE))
                if gap is not None and gap.n:
                    numbers = (gap.mean, gap.half, gap.n, gap.verdict)
                    records.append((row, reference, measure, k, *numbers))
        lines.append(line(at, row, entries))
    head = ["Method", *(f"top-1, {shots_name(k)}" for k in at.shots)]
    head += [f"retention, {shots_name(k)}" for k in at.shots]
    names = ["row", "reference", "measure", "shots", "difference", "half", "draws", "verdict"]
    caption = f"Paired differences to {reference}, points (same draws, 95 % t interval)"
    note = (
        "Bold: the interval does not include 0. Differences draw by draw, averaged over data sets."
    )
    data = pd.DataFrame(records, columns=names)
    return Table("paired", caption, tuple(head), tuple(lines), data, (note,))


_COST = {
    "fit_seconds": ("fit, s", 2),
    "score_seconds": ("score, s", 2),
    "search_seconds": ("search, s", 2),
    "feature_seconds": ("features, s", 2),
    "evaluations": ("evaluations", 0),
    "peak_memory_mib": ("peak MiB", 0),
    "trainable": ("trainable", 0),
}
"""Column → heading and digits."""


def cost_table(frame: pd.DataFrame, at: Standing) -> Table:
    """Medians of measured seconds and peak memory over cells, per method and shots."""
    done = frame[frame["status"] == "ok"].astype(dict.fromkeys(_COST, "float64"))
    groups = done.groupby(["row", "shots"], sort=False)
    data = groups[list(_COST)].median().assign(cells=groups.size())
    lines = []
    for row in at.info.index:
        for k in sorted(frame.loc[frame["row"] == row, "shots"].unique()):
            if (row, k) in data.index:
                cell: Any = data.loc[(row, k)]
                texts = [number(cell[name], digits) for name, (_, digits) in _COST.items()]
                texts = [str(k) if k else "any", *texts, f"{int(cell['cells'])}"]
                lines.append(line(at, row, [Entry(text) for text in texts]))
    head = ("Method", "shots", *(heading for heading, _ in _COST.values()), "cells")
    caption = "Cost: medians over finished cells (differs from run to run and machine to machine)"
    note = "features: spent on frozen features that other cells then find in the cache."
    return Table("cost", caption, head, tuple(lines), named(data.reset_index(), at), (note,))


def _dataset_entry(stats: pd.DataFrame, key: Any) -> Entry:
    if key not in stats.index:
        return Entry(NONE)
    cell: Any = stats.loc[key]
    planned = int(cell["planned"])
    text = interval(cell["top1"], cell["top1_half"])
    if text == NONE:
        return Entry(NONE, f"n = 0/{planned}" if not cell["constant"] else "missing")
    if cell["constant"]:
        return Entry(text, "no draw")
    short = int(cell["draws"]) < planned
    return Entry(f"{text}*" if short else text, f"n = {int(cell['draws'])}" + f"/{planned}" * short)


def _retention_part(grid: pd.DataFrame, retention: pd.DataFrame, name: str) -> pd.DataFrame:
    """Average change on one retention set, with the frozen accuracy."""
    one = retention[retention["set"] == name]
    cells = grid[grid["dataset"].isin(one["dataset"].unique())]
    table = average(cells.assign(change=cells["cell_id"].map(_by_cell(one, "change"))), "change")
    table["frozen"] = one.groupby("dataset")["frozen_top1"].mean().mean()
    return table


def _by_cell(one: pd.DataFrame, name: str) -> dict[str, float]:
    return dict(zip(one["cell_id"], one[name], strict=True))


def _gap_entry(gap: Interval | None) -> Entry:
    if gap is None or gap.n == 0:
        return Entry(NONE)
    text = interval(gap.mean, gap.half, signed=True)
    return Entry(text, f"n = {gap.n}", strong=not gap.includes_zero)


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
