"""The leaderboard: one line per row, its mean over data sets at every number of shots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.protocols import PROTOCOLS
from harness.reports.entries import NOT_TRANSFERABLE, line, mean_entry, named
from harness.reports.part import Part
from harness.reports.standing import Standing
from harness.reports.study import Study
from harness.reports.summary import Place, mean_at, place_at
from harness.reports.table import NONE, NOT_APPLICABLE, Entry, Line, Table, missing

UNDECIDED = "○"
"""Marks a mean that the draws do not tell from the highest: no praise."""


class Leaderboard(Part):
    """Mean top-1, gain, rank and forgetting; no timing, so that runs compare byte by byte."""

    name, title = "leaderboard", "Leaderboard"
    printed = 1

    def tables(self, study: Study) -> Sequence[Table]:
        at = study.standing
        if not at.shots:
            return [Table(self.name, "Leaderboard: no cells planned", ("Method",), ())]
        last = at.drawn.name(at.last)
        head = ["Method", *map(at.drawn.name, at.shots)]
        head += [f"gain, {last}", "rank", f"forgetting, {last}", "trainable"]
        caption = "Top-1 accuracy, % (mean over data sets ± 95 % t interval over draws)"
        lines = tuple(_lines(at, len(head) - 1))
        return [Table(self.name, caption, tuple(head), lines, _data(at), tuple(_notes(at)))]


def _lines(at: Standing, width: int) -> Iterator[Line]:
    before = ""
    for row in at.order:
        group = str(at.info.at[row, "group"])
        if group and group != before and not at.info.at[row, "apart"]:
            count = f"{len(at.group(group))} configurations, not ranked"
            yield Line(group, (Entry(""),) * width, count)
        before = group
        made = line(at, row, _entries(at, row))
        yield replace(made, apart=made.apart or (at.lacks(row) and not group))


def _entries(at: Standing, row: str) -> list[Entry]:
    entries = []
    for k in at.shots:
        place = place_at(at.ranks, row, k)
        entry = mean_entry(mean_at(at.top1, row, k))
        first = place is not None and place.first
        mark = UNDECIDED if place is not None and place.against == "undecided" else ""
        entries.append(replace(entry, strong=first, mark=mark))
    gain = mean_entry(mean_at(at.gain, row, at.last), signed=True)
    entries += [Entry(gain.text), Entry(_rank(place_at(at.ranks, row, at.last)))]
    change = mean_entry(mean_at(at.change, row, at.last), signed=True)
    entries.append(Entry(change.text if at.transferable[row] else NOT_APPLICABLE))
    entries.append(Entry(_trained(at, row)))
    return entries


def _trained(at: Standing, row: str) -> str:
    span: Any = at.trainable.loc[row]
    if missing(span["min"]):
        return NONE
    low, high = int(span["min"]), int(span["max"])
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _rank(place: Place | None) -> str:
    if place is None:
        return NONE
    return f"{place.low}" if place.low == place.high else f"{place.low}–{place.high}"


def _data(at: Standing) -> pd.DataFrame:
    data = pd.DataFrame({"row": at.order})
    for k in at.shots:
        keys = pd.MultiIndex.from_product([at.order, [k]])
        top1, gain, change = (table.reindex(keys) for table in (at.top1, at.gain, at.change))
        place = at.ranks.reindex(keys)
        data[f"top1_{k}"] = top1["mean"].to_numpy()
        data[f"top1_{k}_half"] = top1["half"].to_numpy()
        data[f"df_{k}"] = top1["df"].to_numpy()
        for name, column in _COUNTS.items():
            data[f"{name}_{k}"] = top1[column].to_numpy()
        data[f"gain_{k}"] = gain["mean"].to_numpy()
        data[f"gain_{k}_half"] = gain["half"].to_numpy()
        data[f"rank_low_{k}"] = pd.to_numeric(place["low"]).astype("Int64").to_numpy()
        data[f"rank_high_{k}"] = pd.to_numeric(place["high"]).astype("Int64").to_numpy()
        data[f"against_highest_{k}"] = place["against"].fillna("").to_numpy()
        data[f"retention_change_{k}"] = change["mean"].to_numpy()
        data[f"retention_change_{k}_half"] = change["half"].to_numpy()
    data["trainable_min"] = at.trainable.loc[at.order, "min"].to_numpy()
    data["trainable_max"] = at.trainable.loc[at.order, "max"].to_numpy()
    return named(data, at)


_COUNTS = {
    "draws": "draws",
    "draws_most": "most",
    "sets": "sets",
    "cells": "cells",
    "planned": "planned",
}


def _notes(at: Standing) -> Iterator[str]:
    yield (
        "n (on a terminal: in brackets): distinct draws on each data set; no draw: the method "
        "ignores the support set."
    )
    if len(at.ranks):
        yield (
            "Bold: the draws decide that it is ahead of every other ranked row (paired 95 % "
            f"intervals). {UNDECIDED}: undecided, the interval of its difference to the highest "
            "mean includes 0; a wide interval leaves a poor method undecided too. rank: the places "
            "the draws leave open."
        )
    elif at.info["fair"].any():
        yield "Fewer than two distinct draws: there are no intervals, and nothing is ranked."
    yield (
        "gain: over zero-shot under the same template. forgetting: change of zero-shot accuracy "
        "on the retention sets, in points."
    )
    yield from at.drawn.notes
    if not at.transferable.all():
        yield NOT_TRANSFERABLE
    if (at.info["group"] != "").any():
        yield GROUPED
    if (at.top1["cells"] < at.top1["planned"]).any():
        yield "*: incomplete; beside it, how many of the planned cells have a number."
    if (at.top1["sets"] < at.top1["of"]).any():
        yield (
            "A mean over fewer data sets is of another task: rows that lack one at "
            f"{at.drawn.name(at.last)} stand apart, neither sorted nor ranked among the others."
        )
    here = set(at.info["protocol"][at.info["beyond"] | ~at.info["ranked"]])
    yield from filter(None, (PROTOCOLS[name].footnote for name in PROTOCOLS if name in here))


GROUPED = (
    "Configurations of one method stand together, in the suite's order and without a rank: the "
    "best of them by test accuracy would be chosen on the test set, and stand beside rows that "
    "were not. To have one chosen on validation images, put the values under search: in the "
    "suite, with protocol: val_search."
)
