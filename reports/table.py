"""`Table`: exact numbers for CSV and worded cells for people, and how both are written."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

NONE = "–"
"""Stands where there is no value."""
NOT_APPLICABLE = "n/a"
"""Stands where a value has no meaning: the method is not transferable."""


@dataclass(frozen=True)
class Entry:
    """One displayed cell: its text, a small addition (the number of draws), and emphasis."""

    text: str
    sub: str = ""
    strong: bool = False
    mark: str = ""
    """A sign before the text, explained below the table."""


@dataclass(frozen=True)
class Line:
    """One displayed row: the row's name and note, its entries, and whether it is set apart."""

    name: str
    entries: tuple[Entry, ...]
    note: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Table:
    """A table: `data` holds the numbers of the CSV file, `lines` what is shown."""

    name: str
    caption: str
    head: tuple[str, ...]
    """Headings, the first one over the row names."""
    lines: tuple[Line, ...]
    data: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()
    """Sentences below the table."""
    under: tuple[str, ...] = ()
    """Small print below the headings, in their order; none where empty."""

    @classmethod
    def of(cls, name: str, caption: str, frame: pd.DataFrame, notes: tuple[str, ...] = ()) -> Table:
        """A frame as it is: a line per index entry, numbers with one digit, counts with none."""
        lines = [
            Line(str(key), tuple(Entry(_plain(value)) for value in values))
            for key, values in zip(frame.index, frame.itertuples(index=False), strict=True)
        ]
        head = (str(frame.index.name or ""), *map(str, frame.columns))
        return cls(name, caption, head, tuple(lines), frame.reset_index(), notes)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return number(value, digits=0 if isinstance(value, int | np.integer) else 1)


def number(value: Any, digits: int = 1, signed: bool = False) -> str:
    """A number in words: fixed digits, a true minus sign, never "−0.0"; a dash for NaN."""
    if missing(value):
        return NONE
    text = f"{float(value):+,.{digits}f}" if signed else f"{float(value):,.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def interval(mean: Any, half: Any, signed: bool = False) -> str:
    """ "mean ± half width", or the mean alone where there is no interval."""
    text = number(mean, signed=signed)
    return text if text == NONE or missing(half) else f"{text} ± {number(half)}"


def missing(value: Any) -> bool:
    """True for None, NaN and pandas' NA."""
    return value is None or value is pd.NA or (isinstance(value, float) and isnan(value))


def to_csv(frame: pd.DataFrame) -> str:
    """CSV with six decimals; empty where there is no value; never a negative zero."""
    rounded = frame.copy()
    for name in rounded.select_dtypes("float").columns:
        rounded[name] = rounded[name].round(6) + 0.0
    text: str = rounded.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    return text


def to_markdown(table: Table, heading: str = "##") -> str:
    """The table as GitHub Markdown, caption first."""
    rows = [tuple(_md(name) for name in table.head)]
    rows.append(tuple("---" if i == 0 else "---:" for i in range(len(table.head))))
    for line in table.lines:
        name = f"*{_md(line.name)}*" if line.apart else _md(line.name)
        note = f" ({_md(line.note)})" if line.note else ""
        rows.append((name + note, *(_md_entry(entry) for entry in line.entries)))
    body = [f"| {' | '.join(row)} |" for row in rows]
    notes = [f"\n{_md(note)}" for note in table.notes]
    return "\n".join([f"{heading} {_md(table.caption)}", "", *body, *notes]) + "\n"


def to_text(table: Table) -> str:
    """The table as aligned plain text for a terminal. Print it with markup off."""
    tops, bottoms = zip(*(_two_lines(name) for name in table.head), strict=True)
    rows = [list(tops), list(bottoms)]
    for line in table.lines:
        note = f" ({line.note})" if line.note else ""
        rows.append([line.name + note, *(_text_entry(entry) for entry in line.entries)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    text = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        text.append("  ".join(cells).rstrip())
    text.insert(2, "  ".join("─" * width for width in widths))
    return "\n".join([table.caption, "", *text, "", *table.notes]) + "\n"


def _md(text: str) -> str:
    safe = html.escape(text, quote=False).replace("|", "\\|").replace("*", "\\*")
    return " ".join(safe.replace("_", "\\_").split())


def _md_entry(entry: Entry) -> str:
    text = f"**{_md(entry.text)}**" if entry.strong else _md(entry.text)
    text = f"{entry.mark} {text}".strip()
    return f"{text} <sub>{_md(entry.sub)}</sub>" if entry.sub else text


def _two_lines(heading: str) -> tuple[str, str]:
    """ "gain, 16 shots" over two lines, a short heading on the lower one."""
    first, _, second = heading.partition(", ")
    return (first, second) if second else ("", heading)


def _text_entry(entry: Entry) -> str:
    sub = f" ({entry.sub.replace('n = ', '')})" if entry.sub else ""
    return f"{entry.mark} {entry.text}{sub}".strip()
