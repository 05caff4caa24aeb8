"""The report put together (pure) and written to a folder (atomic): same records, same bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from harness.record import Record
from reports import figures, plots, provenance
from reports.comparability import completeness, warnings_of
from reports.findings import findings
from reports.frame import PlannedCell, broadcast, cell_frame, csv_columns, retention_frame
from reports.html import Page, Plot, Section, render
from reports.leaderboard import Standing, leaderboard, standing
from reports.style import looks
from reports.table import Table, to_csv, to_markdown, to_text
from reports.tables import (
    cost_table,
    dataset_tables,
    forgetting_tables,
    paired_table,
    reference_row,
)


@dataclass(frozen=True)
class Report:
    """A whole report in memory. `files` maps file names to what is (to be) written."""

    title: str
    cells: pd.DataFrame
    """One row per planned cell, as in `cells.csv`."""
    leaderboard: Table
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    counts: Mapping[str, int]
    """Cells planned, ok, failed, skipped and missing."""
    files: Mapping[str, bytes]


def build(
    cells: Sequence[PlannedCell], records: Mapping[str, Record], out: Path, title: str
) -> Report:
    """Assemble the report of `cells` and write all its files into the folder `out`."""
    report = assemble(cells, records, title)
    write(report, out)
    return report


def assemble(cells: Sequence[PlannedCell], records: Mapping[str, Record], title: str) -> Report:
    """The report of `cells`; nothing is written. Records of other cells are ignored."""
    frame = cell_frame(cells, records)
    grid = broadcast(frame, frame)
    retention = retention_frame(frame, records)
    at = standing(grid, frame, retention)
    used = [records[cell] for cell in frame["cell_id"] if cell in records]
    board = leaderboard(at)
    tables = {
        "per_dataset": dataset_tables(grid, at),
        "forgetting": forgetting_tables(grid, retention, at),
        "paired": [paired_table(grid, at, row)] if (row := reference_row(at)) else [],
        "cost": [cost_table(frame, at)],
    }
    drawn = _plots(frame, grid, at) if at.top1["mean"].notna().any() else []
    said = tuple(findings(frame, grid, at))
    warned = (*warnings_of(frame, records), *provenance.code_caveats(used))
    page = Page(
        title=title,
        summary=_summary(frame, at),
        findings=said,
        warnings=warned,
        sections=_sections(frame, records, used, board, tables, drawn),
        caveats=_CAVEATS,
    )
    files = {"cells.csv": to_csv(frame[csv_columns(frame)]).encode()}
    for name, parts in {"leaderboard": [board], **tables}.items():
        kept = [part.data for part in parts if len(part.data.columns)]
        data = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
        files[f"{name}.csv"] = to_csv(data).encode()
        files[f"{name}.md"] = "\n".join(map(to_markdown, parts)).encode()
    files |= {f"{plot.name}.svg": plot.svg.encode() for plot in drawn}
    if drawn:
        files["overview.png"] = figures.png(lambda: _overview(grid, at, title))
    files["index.html"] = render(page).encode()
    return Report(title, frame, board, said, warned, completeness(frame), files)


def write(report: Report, out: Path) -> None:
    """Write every file of the report: each to a temporary file first, then renamed."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in report.files.items():
        handle, temporary = tempfile.mkstemp(dir=out, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, out / name)
        except BaseException:
            os.unlink(temporary)
            raise


def leaderboard_text(report: Report) -> str:
    """Leaderboard, findings and warnings as plain text for a terminal (print with markup off)."""
    parts = [to_text(report.leaderboard)]
    parts += [f"• {sentence}" for sentence in report.findings]
    parts += [f"! {sentence}" for sentence in report.warnings]
    return "\n".join(parts) + "\n"


_CAVEATS = (
    "Intervals cover the choice of few-shot images and the training seed, not the choice of data "
    "sets, of the backbone or of the hyper-parameters.",
    "With three draws a t interval is wide; a difference that is not distinguishable here is not "
    "shown to be zero.",
    "Under the protocol fixed every method runs with the one configuration listed under "
    "Provenance; a method may do better with another.",
    "Times and memory were measured while the grid ran, possibly several cells at once on one "
    "machine: compare them within one run only.",
)


def _plots(frame: pd.DataFrame, grid: pd.DataFrame, at: Standing) -> list[Plot]:
    look = looks(list(at.info.index))
    curves, frozen = plots.learning_curves(grid, at), plots.frozen_accuracy(grid)
    points, costs = plots.tradeoff(at), plots.cost(frame, at)
    found = []
    if len(curves):
        drawn = figures.svg("accuracy", lambda: figures.accuracy_figure(curves, frozen, look))
        caption = "Mean over draws; bars are 95 % t intervals. Dashed: the frozen model."
        found.append(Plot("accuracy", "Accuracy against shots", caption, drawn))
    if len(points):
        drawn = figures.svg("forgetting", lambda: figures.tradeoff_figure(points, look))
        caption = "Up is more accurate, right keeps more of the zero-shot accuracy on other data "
        caption += "sets (0: nothing forgotten). Larger markers: more shots. Bars are 95 % t "
        caption += "intervals. Methods that are not transferable have no point."
        found.append(Plot("forgetting", "Accuracy against forgetting", caption, drawn))
    if len(costs):
        drawn = figures.svg("cost", lambda: figures.cost_figure(costs, look))
        caption = f"Mean top-1 at {at.shots[-1]} shots. Horizontal axes are logarithmic, from 0."
        found.append(Plot("cost", "Accuracy against cost", caption, drawn))
    return found


def _overview(grid: pd.DataFrame, at: Standing, title: str) -> Figure:
    look = looks(list(at.info.index))
    curves, frozen = plots.learning_curves(grid, at), plots.frozen_accuracy(grid)
    return figures.overview_figure(curves, frozen, plots.tradeoff(at), look, title)


def _summary(frame: pd.DataFrame, at: Standing) -> str:
    counts = completeness(frame)
    shots = ", ".join(str(k) for k in at.shots if k) or "no"
    parts = [
        f"{len(at.info)} methods",
        f"{frame['dataset'].nunique()} data sets",
        f"{shots} shots",
        f"{frame.loc[frame['shots'] > 0, 'seed'].nunique()} draws",
        f"protocol {', '.join(frame['protocol'].unique())}",
        f"backbone {', '.join(frame['backbone'].unique())}",
        f"{counts['ok']:,} of {counts['planned']:,} cells finished",
    ]
    return " · ".join(parts)


def _sections(
    frame: pd.DataFrame,
    records: Mapping[str, Record],
    used: Sequence[Record],
    board: Table,
    tables: Mapping[str, Sequence[Table]],
    drawn: Sequence[Plot],
) -> list[Section]:
    by_name = {plot.name: [plot] for plot in drawn}
    undone = provenance.undone_table(frame)
    sections = [
        Section("leaderboard", "Leaderboard", "", (), [board]),
        Section("accuracy", "Accuracy", "", by_name.get("accuracy", ()), tables["per_dataset"]),
        Section(
            "forgetting", "Forgetting", "", by_name.get("forgetting", ()), tables["forgetting"]
        ),
        Section("paired", "Paired differences", "", (), tables["paired"]),
        Section("cost", "Cost", "", by_name.get("cost", ()), tables["cost"]),
    ]
    if undone.lines:
        sections.append(Section("undone", "Cells without a number", "", (), [undone]))
    origin = [
        provenance.method_table(frame, records),
        provenance.provenance_table(used),
        provenance.draw_table(frame, records),
    ]
    sections.append(Section("provenance", "Provenance", "", (), origin, folded=True))
    return sections
