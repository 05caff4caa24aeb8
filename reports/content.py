"""`Content`: everything a report says, worked out from records before anything is drawn."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from harness.errors import HarnessError
from harness.reports.comparability import warnings_of
from harness.reports.findings import findings
from harness.reports.frame import PlannedCell, csv_columns
from harness.reports.part import Part, Plot
from harness.reports.parts import ORIGIN, RESULTS
from harness.reports.published import Published
from harness.reports.study import Study, study
from harness.reports.table import Table, to_csv, to_markdown, to_text
from harness.store.record import Record

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A part with what it has to show."""

    part: Part
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class Content:
    """A study, its parts in the order of the page, findings and warnings."""

    study: Study
    shown: tuple[Shown, ...]
    findings: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def tables(self) -> dict[str, tuple[Table, ...]]:
        """By name of the part, where it has any."""
        return {one.part.name: one.tables for one in self.shown if one.tables}

    @property
    def leaderboard(self) -> Table:
        return self.tables["leaderboard"][0]

    @property
    def counts(self) -> Mapping[str, int]:
        """Cells planned, ok, failed, skipped and missing."""
        return self.study.counts


def gather(
    cells: Sequence[PlannedCell],
    records: Mapping[str, Record],
    published: Sequence[Published] = (),
    reference: str | None = None,
    parts: Sequence[Part] = (),
) -> Content:
    """What the records of `cells` say, beside `published` numbers. Other records are ignored.

    Args:
        reference: see `study.study`.
        parts: shown after those that every report has.

    Raises:
        HarnessError: one of `parts` failed, or has a name that is taken.
    """
    found = study(cells, records, reference, published)
    ordered = (*RESULTS, *parts, *ORIGIN)
    _check_names(ordered)
    shown = tuple(_shown(part, found, own=part not in parts) for part in ordered)
    return Content(found, shown, tuple(findings(found)), tuple(warnings_of(found)))


def table_files(content: Content) -> dict[str, str]:
    """The CSV and Markdown files by name. Timings are in cells.csv, cost.csv and cost.md only."""
    cells = content.study.frame
    files = {"cells.csv": to_csv(cells[csv_columns(cells)])}
    for name, tables in content.tables.items():
        kept = [table.data for table in tables if len(table.data.columns)]
        if kept:
            files[f"{name}.csv"] = to_csv(pd.concat(kept, ignore_index=True))
            files[f"{name}.md"] = "\n".join(map(to_markdown, tables))
    return files


def leaderboard_text(content: Content) -> str:
    """Leaderboard, findings and warnings as plain text for a terminal (print with markup off)."""
    parts = [to_text(table) for one in content.shown for table in one.tables[: one.part.printed]]
    parts += [f"• {sentence}" for sentence in content.findings]
    parts += [f"! {sentence}" for sentence in content.warnings]
    return "\n".join(parts) + "\n"


def _shown(part: Part, found: Study, own: bool) -> Shown:
    try:
        tables, plots = part.tables(found), part.plots(found)
        return Shown(part, _all(tables, Table, "tables"), _all(plots, Plot, "plots"))
    except Exception as error:  # somebody else's code
        if own:
            raise
        raise broken(part, error) from error


def _all(found: Sequence[T], kind: type[T], method: str) -> tuple[T, ...]:
    """`found` as a tuple. Raises TypeError unless it is a list of `kind`."""
    many = isinstance(found, list | tuple)
    wrong = [one for one in found if not isinstance(one, kind)] if many else [found]
    if wrong:
        got = f"a list with a {type(wrong[0]).__name__}" if many else type(found).__name__
        raise TypeError(f"{method}(study) returned {got}, expected a list of {kind.__name__}")
    return tuple(found)


def broken(part: Part, error: Exception) -> HarnessError:
    """What is said of a part that failed: its name, what was raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return HarnessError(
        f'the report part "{part.name}" failed: {type(error).__name__}: {error} '
        f"({place.filename}:{place.lineno})"
    )


def _check_names(parts: Sequence[Part]) -> None:
    seen: set[str] = {"cells"}
    for part in parts:
        if part.name in seen:
            raise HarnessError(f'a report has a part "{part.name}" already: give it another name')
        seen.add(part.name)
