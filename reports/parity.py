"""Published numbers beside ours: reproduced, differs, or not comparable and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import pandas as pd

from harness.errors import few
from harness.reports.published import Number, Published
from harness.reports.summary import average, differences, mean_at, row_info
from harness.reports.table import NONE, Entry, Line, Table, interval, missing, number
from harness.store.record import Record

NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Comparison:
    """One published number against one row (or none); `why` says what keeps them apart."""

    source: Published
    number: Number
    row: str
    ours: float = nan
    half: float = nan
    draws: int = 0
    why: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        return self.ours - self.number.value

    @property
    def status(self) -> str:
        if self.why:
            return NOT_COMPARABLE
        return "reproduced" if abs(self.difference) <= self.source.tolerance else "differs"


def compare(
    published: Sequence[Published], grid: pd.DataFrame, records: Mapping[str, Record]
) -> list[Comparison]:
    """Every published number against every row of its method; `grid` as in `draws.broadcast`.

    Numbers of methods that the report does not have are left out.
    """
    info = row_info(grid.assign(shots=grid["shots"].mask(grid["constant"], 0)))
    found = []
    for source in published:
        for printed in source.numbers:
            for row in info.index[(info["method"] == printed.method) & info["ranked"]]:
                found.append(_compare(source, printed, str(row), grid, records))
    return found


def parity_table(found: Sequence[Comparison]) -> Table:
    """The comparisons as a table; those kept apart for the same reasons share a line."""
    groups: dict[tuple[Any, ...], list[Comparison]] = {}
    for i, one in enumerate(found):
        same = (one.why, one.number.measure, one.number.minus) if one.why else i
        groups.setdefault((one.source.paper, one.row, same), []).append(one)
    lines = []
    for group in groups.values():
        one = group[0]
        shots = [str(c.number.shots) if c.number.shots is not None else "?" for c in group]
        ours = Entry(interval(one.ours, one.half), f"n = {one.draws}" if one.draws else "")
        source = "primary source" if one.source.primary else f"from {one.source.read_in}"
        draws = f"n = {one.source.draws}" if one.source.draws else "n not stated"
        entries = (
            Entry(_measure(one.number)),
            Entry(", ".join(shots)),
            Entry(", ".join(number(c.number.value) for c in group), draws),
            ours,
            Entry(number(one.difference, signed=True)),
            Entry(one.status),
            Entry("; ".join(one.why) or NONE),
            Entry(one.source.paper, source),
        )
        lines.append(Line(one.row, entries))
    head = ("Method", "measure", "shots", "published", "ours", "difference", "status", "why")
    notes = ["reproduced: within the tolerance of its file, whatever the width of our interval."]
    sources = {one.source.paper: one.source for one in found}
    notes += [f"{paper}: {source.comment}" for paper, source in sources.items() if source.comment]
    caption = "Published numbers beside ours"
    return Table("published", caption, (*head, "source"), tuple(lines), _data(found), tuple(notes))


def _compare(
    source: Published,
    printed: Number,
    row: str,
    grid: pd.DataFrame,
    records: Mapping[str, Record],
) -> Comparison:
    cells = grid[(grid["row"] == row) & grid["dataset"].isin(source.datasets)]
    shots = printed.shots
    if len(cells) and cells["constant"].all():
        shots = int(cells["shots"].iloc[0])
    cells = cells[cells["shots"] == shots]
    why = _apart(source, printed, grid[grid["row"] == row], cells, records)
    if why or shots is None:
        return Comparison(source, printed, row, why=tuple(why))
    part = grid[grid["dataset"].isin(source.datasets)]
    if printed.minus is None:
        mean = mean_at(average(part, printed.measure), row, shots)
        if mean is None or missing(mean.mean) or mean.cells < mean.planned:
            return Comparison(source, printed, row, why=("cells are missing",))
        return Comparison(source, printed, row, mean.mean, mean.half, mean.draws)
    for other in part.loc[part["method"] == printed.minus, "row"].unique():
        gap = differences(part, printed.measure, str(other)).get((row, shots))
        if gap is not None:
            return Comparison(source, printed, row, gap.mean, gap.half, gap.n)
    return Comparison(source, printed, row, why=(f"no complete draw with {printed.minus}",))


def _apart(
    source: Published,
    printed: Number,
    rows: pd.DataFrame,
    cells: pd.DataFrame,
    records: Mapping[str, Record],
) -> list[str]:
    """Why the row's cells are not what was published."""
    why = []
    ours = str(rows["backbone"].iloc[0])
    if not source.backbones:
        why.append("the source as read states no backbone")
    elif ours not in source.backbones:
        why.append(f"backbone {ours}, theirs {source.backbones[0]}")
    lacking = [name for name in source.datasets if name not in set(rows["dataset"])]
    if lacking:
        names = few(lacking, 3)
        why.append(f"{len(lacking)} of their {len(source.datasets)} data sets not here: {names}")
    if lacking or not source.datasets or why:
        return why
    if cells.empty:
        return [f"no cells at {printed.shots} shots"]
    constant = bool(cells["constant"].all())
    wanted = {"templates": " | ".join(source.templates) or None}
    wanted |= {} if constant else {"protocol": source.protocol, "sampler": source.sampler}
    for name, theirs in wanted.items():
        here = sorted(set(cells[name]))
        if theirs is not None and here != [theirs]:
            why.append(f'{name} "{here[0]}"{" and others" * (len(here) > 1)}, theirs "{theirs}"')
    return why + _settings(printed, cells, records)


def _settings(printed: Number, cells: pd.DataFrame, records: Mapping[str, Record]) -> list[str]:
    why: dict[str, None] = {}
    for cell_id in cells["cell_id"].unique():
        if cell_id not in records:
            continue
        config = records[cell_id].identity.method.config
        for key, theirs in printed.config.items():
            if config.get(key) != theirs:
                why[f"{key} = {config.get(key)}, theirs {theirs}"] = None
    return list(why)


def _measure(printed: Number) -> str:
    name = {"top1": "top-1", "retention_mean_change": "zero-shot kept"}[printed.measure]
    return f"{name}, minus {printed.minus}" if printed.minus else name


def _data(found: Sequence[Comparison]) -> pd.DataFrame:
    names = ["row", "method", "measure", "minus", "shots", "published", "published_draws", "ours"]
    names += ["half", "draws", "difference", "status", "why", "paper", "read_in", "primary"]
    rows = []
    for one in found:
        n, s = one.number, one.source
        theirs = (one.row, n.method, n.measure, n.minus or "", n.shots, n.value, s.draws)
        ours = (one.ours, one.half, one.draws, one.difference, one.status, "; ".join(one.why))
        rows.append((*theirs, *ours, s.paper, s.read_in, str(s.primary).lower()))
    data = pd.DataFrame(rows, columns=names)
    return data.astype({"shots": "Int64", "published_draws": "Int64"})
