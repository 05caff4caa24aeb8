"""The leaderboard: one line per method, its mean over data sets at every number of shots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from harness.protocols import PROTOCOLS
from harness.reports.summary import (
    Mean,
    Place,
    average,
    mean_at,
    place_at,
    rank_table,
    row_info,
)
from harness.reports.table import NONE, NOT_APPLICABLE, Entry, Line, Table, interval, missing

UNDECIDED = "○"
"""Marks a mean that the draws do not tell from the highest: no praise."""


@dataclass(frozen=True)
class Standing:
    """The averages a leaderboard and the findings are read from; each indexed by (row, shots)."""

    info: pd.DataFrame
    shots: tuple[int, ...]
    top1: pd.DataFrame
    gain: pd.DataFrame
    change: pd.DataFrame
    """Mean change of zero-shot accuracy over the retention sets."""
    ranks: pd.DataFrame
    transferable: pd.Series[bool]
    """Per row: whether it carries over to all of its retention sets."""
    trainable: pd.DataFrame
    """Per row: how many numbers were trained, `min` and `max` over cells."""

    @property
    def order(self) -> list[str]:
        """Rows by mean top-1 at the most shots, then by name.

        Then, by name alone, rows without a mean over all data sets: one over fewer is another
        task's. Rows kept apart come last, then oracle.
        """
        return sorted(map(str, self.info.index), key=self._key)

    def lacks(self, row: str) -> bool:
        """Whether the row has no number on one of the data sets at the most shots."""
        cell = mean_at(self.top1, row, self.shots[-1]) if self.shots else None
        return cell is None or not cell.whole

    def _key(self, row: str) -> tuple[bool, bool, bool, float, str]:
        cell = mean_at(self.top1, row, self.shots[-1]) if self.shots else None
        score = -round(cell.mean, 9) if cell is not None and cell.whole else 0.0
        ranked, fair = bool(self.info.at[row, "ranked"]), bool(self.info.at[row, "fair"])
        return not ranked, not fair, self.lacks(row), score, row


def standing(grid: pd.DataFrame, frame: pd.DataFrame, retention: pd.DataFrame) -> Standing:
    """Every average over data sets that the report needs."""
    info = row_info(frame)
    known = retention.groupby("row")["transfer"].all().reindex(info.index)
    return Standing(
        info=info,
        shots=tuple(sorted(int(k) for k in grid["shots"].unique())),
        top1=average(grid, "top1"),
        gain=average(grid, "gain"),
        change=average(grid, "retention_mean_change"),
        ranks=rank_table(grid, info),
        transferable=known.astype("boolean").fillna(True).astype(bool),
        trainable=_trainable(frame).reindex(info.index),
    )


def leaderboard(at: Standing) -> Table:
    """Mean top-1, gain, rank and forgetting per method; no timing, so runs compare byte by byte."""
    if not at.shots:
        return Table("leaderboard", "Leaderboard: no cells planned", ("Method",), ())
    last = at.shots[-1]
    head = ["Method", *(shots_name(k) for k in at.shots)]
    head += [f"gain, {shots_name(last)}", "rank", f"forgetting, {shots_name(last)}", "trainable"]
    lines = [_line(at, row) for row in at.order]
    caption = "Top-1 accuracy, % (mean over data sets ± 95 % t interval over draws)"
    return Table("leaderboard", caption, tuple(head), tuple(lines), _data(at), _notes(at))


def shots_name(k: int) -> str:
    """ "1 shot", "4 shots"."""
    return f"{k} shot" if k == 1 else f"{k} shots"


def mean_entry(cell: Mean | None, signed: bool = False) -> Entry:
    """A mean with its interval, the number of draws, and "*" with the count where incomplete."""
    if cell is None:
        return Entry(NONE)
    text = interval(cell.mean, cell.half, signed)
    if text == NONE:
        return Entry(NONE, f"0/{cell.planned}")
    if not cell.whole:
        return Entry(f"{text}*", f"{cell.sets} of {cell.of} data sets")
    several = f"n = {cell.draws}" + (f" to {cell.most}" if cell.draws < cell.most else "")
    draws = "no draw" if cell.constant else several
    if cell.cells < cell.planned:
        return Entry(f"{text}*", f"{draws}, {cell.cells}/{cell.planned}")
    return Entry(text, draws)


def line(at: Standing, row: str, entries: list[Entry]) -> Line:
    """A table line under the row's name, with its note; rows not to be compared are set apart."""
    info: Any = at.info.loc[row]
    notes = [str(info["note"]), PROTOCOLS[info["protocol"]].note]
    return Line(row, tuple(entries), ", ".join(filter(None, notes)), apart=not info["fair"])


_WHO = ["label", "method", "note", "protocol", "backbone"]


def named(part: pd.DataFrame, at: Standing) -> pd.DataFrame:
    """`part` with the row's label, method, note, protocol and backbone in front, `row` dropped."""
    names = at.info.loc[part["row"], _WHO].reset_index(drop=True)
    return pd.concat([names, part.drop(columns="row").reset_index(drop=True)], axis=1)


def _line(at: Standing, row: str) -> Line:
    made = line(at, row, _entries(at, row))
    return replace(made, apart=made.apart or at.lacks(row))


def _entries(at: Standing, row: str) -> list[Entry]:
    last = at.shots[-1]
    entries = []
    for k in at.shots:
        place = place_at(at.ranks, row, k)
        entry = mean_entry(mean_at(at.top1, row, k))
        first = place is not None and place.first
        mark = UNDECIDED if place is not None and place.against == "undecided" else ""
        entries.append(replace(entry, strong=first, mark=mark))
    gain = mean_entry(mean_at(at.gain, row, last), signed=True)
    entries += [Entry(gain.text), Entry(_rank(place_at(at.ranks, row, last)))]
    change = mean_entry(mean_at(at.change, row, last), signed=True)
    entries.append(Entry(change.text if at.transferable[row] else NOT_APPLICABLE))
    entries.append(Entry(_trained(at, row)))
    return entries


def _trainable(frame: pd.DataFrame) -> pd.DataFrame:
    known = frame.dropna(subset=["trainable"])
    return known.groupby("row")["trainable"].agg(["min", "max"])


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
    order = at.order
    data = at.info.loc[order, _WHO].reset_index()
    for k in at.shots:
        keys = pd.MultiIndex.from_product([order, [k]])
        top1, gain, change = (table.reindex(keys) for table in (at.top1, at.gain, at.change))
        place = at.ranks.reindex(keys)
        data[f"top1_{k}"] = top1["mean"].to_numpy()
        data[f"top1_{k}_half"] = top1["half"].to_numpy()
        data[f"df_{k}"] = top1["df"].to_numpy()
        data[f"draws_{k}"] = top1["draws"].to_numpy()
        data[f"draws_most_{k}"] = top1["most"].to_numpy()
        data[f"sets_{k}"] = top1["sets"].to_numpy()
        data[f"cells_{k}"] = top1["cells"].to_numpy()
        data[f"planned_{k}"] = top1["planned"].to_numpy()
        data[f"gain_{k}"] = gain["mean"].to_numpy()
        data[f"gain_{k}_half"] = gain["half"].to_numpy()
        data[f"rank_low_{k}"] = pd.to_numeric(place["low"]).astype("Int64").to_numpy()
        data[f"rank_high_{k}"] = pd.to_numeric(place["high"]).astype("Int64").to_numpy()
        data[f"against_highest_{k}"] = place["against"].fillna("").to_numpy()
        data[f"retention_change_{k}"] = change["mean"].to_numpy()
        data[f"retention_change_{k}_half"] = change["half"].to_numpy()
    data["trainable_min"] = at.trainable.loc[order, "min"].to_numpy()
    data["trainable_max"] = at.trainable.loc[order, "max"].to_numpy()
    return data.drop(columns="row")


def _notes(at: Standing) -> tuple[str, ...]:
    notes = [
        "n (on a terminal: in brackets): distinct draws on each data set; no draw: the method "
        "ignores the support set."
    ]
    if len(at.ranks):
        notes.append(
            "Bold: the draws decide that it is ahead of every other ranked row (paired 95 % "
            f"intervals). {UNDECIDED}: undecided, the interval of its difference to the highest "
            "mean includes 0; a wide interval leaves a poor method undecided too. rank: the places "
            "the draws leave open."
        )
    else:
        notes.append("Fewer than two draws: there are no intervals, and nothing is ranked.")
    notes.append(
        "gain: over zero-shot under the same template. forgetting: change of zero-shot accuracy "
        "on the retention sets, in points; n/a: not transferable to other class names."
    )
    if (at.top1["cells"] < at.top1["planned"]).any():
        notes.append("*: incomplete; beside it, how many of the planned cells have a number.")
    if (at.top1["sets"] < at.top1["of"]).any():
        notes.append(
            "A mean over fewer data sets is of another task: rows that lack one at "
            f"{shots_name(at.shots[-1])} stand apart, neither sorted nor ranked among the others."
        )
    here = set(at.info["protocol"])
    notes += [access.footnote for name, access in PROTOCOLS.items() if name in here]
    return tuple(filter(None, notes))
