"""`harness score`: measures of what was kept, without running anything again."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.errors import HarnessError
from harness.measure import Measure
from harness.plan.expand import Plan, outline
from harness.plan.measures import distinct, find_measure
from harness.plan.select import only as restrict
from harness.plan.suite import load_suite
from harness.run.measures import STANDARD, ece, gain, lost, per_class_mean, top1, won
from harness.run.per_image import class_rows, image_rows
from harness.run.rescore import Finished, Row, measured_again, rows_of
from harness.store.atomic import write_atomically
from harness.store.store import Contents, Store
from harness.verbs.folders import report_folder

SHORT = (top1, per_class_mean, ece, gain, won, lost)
"""What is printed where no measure is asked for; the file has all."""

SHOWN = 5
"""Differing numbers that are printed; all are counted."""


def score_suite(
    suite: Path,
    results: Path,
    measure: tuple[str, ...],
    images: bool,
    out: Path | None,
    only: tuple[str, ...],
) -> int:
    """Write and print the measures; 1 where a record says something else than what was kept."""
    asked = distinct(find_measure(word, Path.cwd()) for word in measure)
    plan = restrict(outline(load_suite(suite)), only)
    store, console = Store(results), _console()
    contents = store.load(cell.id for cell in plan.cells)
    found = _scorable(plan, contents, store)
    folder = out or report_folder(plan, store, only)
    rows, wrong = measured_again(found, asked or STANDARD)
    _write(folder / "measures.csv", rows, console)
    if images:
        _write(folder / "images.csv", rows_of(found, image_rows), console)
        _write(folder / "classes.csv", rows_of(found, class_rows), console)
    console.print(_table(rows, asked or SHORT))
    _say_how_many(console, plan, found)
    _say_whether_equal(console, found, wrong)
    return 1 if wrong else 0


def _scorable(plan: Plan, contents: Contents, store: Store) -> Finished:
    """The finished cells whose logits were kept.

    Raises:
        HarnessError: there are none; says what to do.
    """
    done = [c for c in plan.cells if c.id in contents.records]
    done = [c for c in done if contents.records[c.id].status == "ok"]
    kept = tuple(cell for cell in done if cell.id in contents.logits)
    path = plan.suite.path
    if not done:
        raise HarnessError(f"{path}: no cell of it is finished in {store.root}: harness run {path}")
    if not kept:
        raise HarnessError(
            f"{path}: no logits of its {len(done)} finished cells were kept: write "
            f"keep_logits: true in it, and harness run {path}"
        )
    return Finished(kept, {cell.id: contents.records[cell.id] for cell in kept}, store.logits)


def _write(path: Path, rows: Iterable[Row], console: Console) -> None:
    """A CSV file whose columns are the first row's."""

    def write(file: Any) -> None:
        # A path that is not UTF-8 is written as its own bytes.
        text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(text, list(row))
                writer.writeheader()
            writer.writerow(row)
        text.flush()
        text.detach()

    write_atomically(path, write)
    console.print(f"written: {path}", markup=False)


def _console() -> Console:
    """One that does not wrap what is piped into a file or another program."""
    wide = None if sys.stdout.isatty() else 200
    return Console(highlight=False, soft_wrap=True, width=wide)


def _table(rows: list[Row], asked: Sequence[Measure]) -> Table:
    """Means over seeds, one line per method, data set adapted to, set scored, and shots."""
    names = [one.name for one in asked]
    table = Table("method", "adapted to", "scored on", "shots", "draws")
    for name in names:
        table.add_column(name, justify="right")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(row[axis] for axis in ("method", "dataset", "set", "shots"))
        groups.setdefault(key, []).append(row)
    for key, group in groups.items():
        values = [[row[name] for row in group if row[name] != ""] for name in names]
        shown = [f"{fmean(some):.2f}" if some else "n/a" for some in values]
        table.add_row(*(escape(str(part)) for part in key), str(len(group)), *shown)
    return table


def _say_how_many(console: Console, plan: Plan, found: Finished) -> None:
    lacking = len(plan.every) - len(found.cells)
    if lacking:
        console.print(
            f"{lacking} of {len(plan.every)} cells are not scored: not finished, or their logits "
            "were not kept (keep_logits: true)",
            markup=False,
        )


def _say_whether_equal(console: Console, found: Finished, wrong: list[str]) -> None:
    if wrong:
        for line in wrong[:SHOWN]:
            console.print(f"not the record's number: {line}", markup=False)
        console.print(f"{len(wrong)} numbers differ from the records'")
    else:
        console.print(f"the records of {len(found.cells)} cells have the same numbers")
