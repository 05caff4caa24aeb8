"""`Content`: everything a report says, gathered from records before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.reports.base_to_new import base_to_new_tables
from harness.reports.comparability import completeness, warnings_of
from harness.reports.draws import broadcast
from harness.reports.findings import findings
from harness.reports.frame import PlannedCell, cell_frame, csv_columns, retention_frame
from harness.reports.leaderboard import Standing, leaderboard, standing
from harness.reports.parity import compare, parity_table
from harness.reports.provenance import (
    code_caveats,
    draw_table,
    method_table,
    provenance_table,
    undone_table,
)
from harness.reports.published import Published
from harness.reports.table import Table, to_csv, to_markdown, to_text
from harness.reports.tables import (
    cost_table,
    dataset_tables,
    forgetting_tables,
    paired_table,
    reference_row,
)
from harness.reports.transfer import transfer_tables
from harness.store.record import Record


@dataclass(frozen=True)
class Content:
    """Tables, findings and warnings."""

    cells: pd.DataFrame
    """One row per planned cell, as in `cells.csv`, and its table `row`."""
    grid: pd.DataFrame
    """The same with support-free methods repeated at every draw (see `draws.broadcast`)."""
    standing: Standing
    leaderboard: Table
    tables: Mapping[str, Sequence[Table]]
    """per_dataset (one per data set), forgetting (one per shots), paired, cost; and where they
    have a meaning base_to_new (averages, then one per data set), transfer (one per shots) and
    published."""
    origin: Sequence[Table]
    """Methods with their configurations, provenance, draws."""
    undone: Table
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    counts: Mapping[str, int]
    """Cells planned, ok, failed, skipped and missing."""


def gather(
    cells: Sequence[PlannedCell],
    records: Mapping[str, Record],
    published: Sequence[Published] = (),
) -> Content:
    """What the records of `cells` say, beside `published` numbers.

    Records of other cells are ignored.
    """
    frame = cell_frame(cells, records)
    grid = broadcast(frame)
    retention = retention_frame(frame, records)
    at = standing(grid, frame, retention)
    used = [records[cell] for cell in frame["cell_id"] if cell in records]
    reference = reference_row(at)
    compared = compare(published, grid, records)
    return Content(
        cells=frame,
        grid=grid,
        standing=at,
        leaderboard=leaderboard(at),
        tables={
            "per_dataset": dataset_tables(grid, at),
            **_where_any("base_to_new", base_to_new_tables(grid, retention, at)),
            **_where_any("transfer", transfer_tables(grid, retention, at)),
            "forgetting": forgetting_tables(grid, retention, at),
            "paired": [paired_table(grid, at, reference)] if reference else [],
            "cost": [cost_table(frame, at)],
            **({"published": [parity_table(compared)]} if compared else {}),
        },
        origin=[method_table(frame, records), provenance_table(used), draw_table(frame, records)],
        undone=undone_table(frame),
        findings=tuple(findings(frame, grid, at)),
        warnings=(*warnings_of(frame, records), *code_caveats(used)),
        counts=completeness(frame),
    )


def _where_any(name: str, tables: Sequence[Table]) -> dict[str, Sequence[Table]]:
    return {name: tables} if tables else {}


def table_files(content: Content) -> dict[str, str]:
    """The CSV and Markdown files by name. Timings are in cells.csv, cost.csv and cost.md only."""
    files = {"cells.csv": to_csv(content.cells[csv_columns(content.cells)])}
    for name, parts in {"leaderboard": [content.leaderboard], **content.tables}.items():
        kept = [part.data for part in parts if len(part.data.columns)]
        data = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
        files[f"{name}.csv"] = to_csv(data)
        files[f"{name}.md"] = "\n".join(map(to_markdown, parts))
    return files


def leaderboard_text(content: Content) -> str:
    """Leaderboard, findings and warnings as plain text for a terminal (print with markup off)."""
    parts = [to_text(content.leaderboard)]
    parts += map(to_text, content.tables.get("base_to_new", ())[:1])
    parts += [f"• {sentence}" for sentence in content.findings]
    parts += [f"! {sentence}" for sentence in content.warnings]
    return "\n".join(parts) + "\n"
