"""The report assembled (pure) and written to a folder (atomic): same records, same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby
from pathlib import Path

from harness.reports.caveats import caveats
from harness.reports.content import Content, Shown, broken, gather, table_files
from harness.reports.drawing import png, svg
from harness.reports.frame import PlannedCell
from harness.reports.overview import overview_figure
from harness.reports.page import Block, Drawn, Page, Section, render
from harness.reports.part import Part, Plot
from harness.reports.parts import ORIGIN, RESULTS
from harness.reports.published import Published
from harness.store.atomic import write_bytes
from harness.store.record import Record


@dataclass(frozen=True)
class Report(Content):
    """A whole report in memory. `files` maps file names to what is (to be) written."""

    title: str
    files: Mapping[str, bytes]


def build(
    cells: Sequence[PlannedCell],
    records: Mapping[str, Record],
    out: Path,
    title: str,
    description: str = "",
    published: Sequence[Published] = (),
    reference: str | None = None,
    parts: Sequence[Part] = (),
) -> Report:
    """Assemble the report of `cells` and write all its files into the folder `out`."""
    report = assemble(gather(cells, records, published, reference, parts), title, description)
    write(report, out)
    return report


def assemble(content: Content, title: str, description: str = "") -> Report:
    """The report of what was gathered; nothing is written.

    `title` and `description` (the suite's, plain text) head the page.

    Raises:
        HarnessError: a plot of a suite's own part failed.
    """
    sections = _sections(content)
    page = Page(
        title=title,
        description=description,
        summary=_summary(content),
        findings=content.findings,
        warnings=content.warnings,
        sections=sections,
        caveats=caveats(content.study),
    )
    files = {name: text.encode() for name, text in table_files(content).items()}
    drawn = [plot for section in sections for block in section.blocks for plot in block.plots]
    files |= {f"{plot.name}.svg": plot.svg.encode() for plot in drawn}
    if drawn:
        files["overview.png"] = png(partial(overview_figure, content.study, title))
    files["index.html"] = render(page).encode()
    same = {field.name: getattr(content, field.name) for field in fields(Content)}
    return Report(**same, title=title, files=files)


def write(report: Report, out: Path) -> None:
    """Write every file of the report, each as a whole or not at all."""
    for name, content in report.files.items():
        write_bytes(out / name, content)


def _sections(content: Content) -> list[Section]:
    """What there is to show, by heading: neighbours with one title share it."""
    there = [shown for shown in content.shown if shown.tables or shown.plots]
    return [
        Section(title, tuple(map(_block, several)))
        for title, several in groupby(there, lambda shown: shown.part.title)
    ]


def _block(shown: Shown) -> Block:
    part, plots = shown.part, [_draw(shown, plot) for plot in shown.plots]
    return Block(part.name, plots, shown.tables, part.folded, part.side_by_side, part.words)


def _draw(shown: Shown, plot: Plot) -> Drawn:
    try:
        return Drawn(plot.name, plot.title, plot.caption, svg(plot.name, plot.draw))
    except Exception as error:  # somebody else's code
        if shown.part in (*RESULTS, *ORIGIN):
            raise
        raise broken(shown.part, error) from error


def _summary(content: Content) -> str:
    frame, at, counts = content.study.frame, content.study.standing, content.counts
    few = frame[frame["shots"] > 0]
    shots = ", ".join(str(k) for k in at.shots if k) or "no"
    parts = [
        _count(len(at.info), "row"),
        _count(frame["dataset"].nunique(), "data set"),
        f"{shots} shot{'s' if shots != '1' else ''}",
        _count(few["seed"].nunique(), "seed"),
        f"protocol {', '.join((few if len(few) else frame)['protocol'].unique())}",
        f"backbone {', '.join(frame['backbone'].unique())}",
        f"{counts['ok']:,} of {counts['planned']:,} cells finished",
    ]
    return " · ".join(parts)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
