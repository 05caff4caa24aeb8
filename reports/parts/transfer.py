"""Transfer from one data set: absolute accuracy on it and on every held-out set, side by side.

The table of cross-data-set transfer and of domain generalisation (CoCoOp, Zhou et al., CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.reports.entries import NOT_TRANSFERABLE, line, mean_entry, named
from harness.reports.part import Part
from harness.reports.standing import Standing
from harness.reports.study import Study
from harness.reports.summary import Mean, average, mean_at
from harness.reports.table import NOT_APPLICABLE, Entry, Table

COLUMNS_MARK = "†"
COLUMNS_NOTE = (
    f"{COLUMNS_MARK}: the method has no rule for other class names; all classes of the set are "
    "among those adapted to, so these columns of its logits were taken. Not zero-shot accuracy."
)


class Transfer(Part):
    """One table per number of shots, where all cells adapt to one and the same data set."""

    name, title = "transfer", "Transfer to other data sets"

    def tables(self, study: Study) -> Sequence[Table]:
        return transfer_tables(study.grid, study.retention, study.standing)


def transfer_tables(grid: pd.DataFrame, retention: pd.DataFrame, at: Standing) -> list[Table]:
    """One table per number of shots; none unless all cells adapt to one and the same data set.

    (With several sources an absolute accuracy would be a mean over different adaptations: the
    forgetting tables have these as differences.) A new half has a table of its own.
    """
    sources = [str(name) for name in grid["dataset"].unique()]
    held_out = retention[retention["half"] != "new"]
    names = sorted(map(str, held_out["set"].unique()))
    if len(sources) != 1 or not names:
        return []
    source = sources[0]
    wide = held_out.pivot(index="cell_id", columns="set", values="top1")
    wide["mean"] = wide[names].mean(axis=1, skipna=False)
    tables = {source: average(grid, "top1")}
    tables |= {
        name: average(grid.assign(value=grid["cell_id"].map(wide[name])), "value")
        for name in [*names, "mean"]
    }
    rules = carried(held_out)
    return [_table(source, names, tables, rules, at, k) for k in at.shots]


def carried(retention: pd.DataFrame) -> dict[tuple[str, str], str]:
    """By row and retention set: "rebind", "columns", or "" where the method is not transferable.

    The set "mean" has a rule where all sets have one: "columns" if any of them does.
    """
    found = {}
    for (row, name), one in retention.groupby(["row", "set"], sort=False):
        found[str(row), str(name)] = _rule(list(one["rule"]))
    for row in retention["row"].unique():
        found[str(row), "mean"] = _rule([r for (of, _), r in found.items() if of == row])
    return found


def kept_entry(cell: Mean | None, rule: str, signed: bool = False) -> Entry:
    """A mean on a retention set; "n/a" where there is no rule, marked where it is columns."""
    if not rule:
        return Entry(NOT_APPLICABLE)
    entry = mean_entry(cell, signed)
    mark = COLUMNS_MARK if rule == "columns" else ""
    return Entry(entry.text, entry.sub, entry.strong, mark)


def _rule(rules: list[str]) -> str:
    if not all(rules):
        return ""
    return "columns" if "columns" in rules else "rebind"


def _table(
    source: str,
    names: list[str],
    tables: dict[str, pd.DataFrame],
    rules: dict[tuple[str, str], str],
    at: Standing,
    k: int,
) -> Table:
    lines = []
    for row in at.info.index:
        entries = [mean_entry(mean_at(tables[source], row, k))]
        for name in [*names, "mean"]:
            rule = rules.get((str(row), name), "rebind")  # no record yet: missing, not n/a
            entries.append(kept_entry(mean_at(tables[name], row, k), rule))
        lines.append(line(at, row, entries))
    head = ("Method", f"{source}, source", *names, f"mean of {len(names)}")
    caption = f"Transfer from {source} at {at.drawn.name(k)}: top-1, % ± 95 % t interval over draws"
    notes = [COLUMNS_NOTE] if "columns" in rules.values() else []
    notes += [NOT_TRANSFERABLE] if "" in rules.values() else []
    notes += filter(None, [at.drawn.note(k)])
    data = _data(source, tables, rules, at, k)
    return Table(f"transfer_{k}", caption, head, tuple(lines), data, tuple(notes))


def _data(
    source: str,
    tables: dict[str, pd.DataFrame],
    rules: dict[tuple[str, str], str],
    at: Standing,
    k: int,
) -> pd.DataFrame:
    parts = []
    for name, table in tables.items():
        here = table[table.index.get_level_values("shots") == k].reset_index()
        here = here.rename(columns={"mean": "top1"}).drop(columns="constant")
        here.insert(1, "source", source)
        here.insert(2, "tested_on", name)
        here["rule"] = [
            "source" if name == source else rules.get((row, name), "") or "n/a"
            for row in here["row"]
        ]
        parts.append(here)
    return named(pd.concat(parts, ignore_index=True), at)
