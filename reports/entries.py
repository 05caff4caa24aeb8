"""Table cells and lines in the words that all tables share."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.protocols import PROTOCOLS
from harness.reports.standing import Standing
from harness.reports.summary import Mean
from harness.reports.table import NONE, Entry, Line, interval

NOT_TRANSFERABLE = (
    "n/a: the classifier is for the classes it was adapted to and has no rule for other names. The "
    "frozen model under it is untouched: take the head off, and all of its zero-shot accuracy is "
    "there."
)


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
    access = PROTOCOLS[info["protocol"]]
    seen = "" if access.beyond_shots and not info["beyond"] else access.note
    notes = ", ".join(filter(None, [str(info["note"]), seen]))
    return Line(row, tuple(entries), notes, apart=bool(info["apart"]))


_WHO = ["label", "method", "note", "protocol", "backbone"]


def named(part: pd.DataFrame, at: Standing) -> pd.DataFrame:
    """`part` with the row's label, method, note, protocol and backbone in front, `row` dropped."""
    names = at.info.loc[part["row"], _WHO].reset_index(drop=True)
    return pd.concat([names, part.drop(columns="row").reset_index(drop=True)], axis=1)
