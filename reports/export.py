"""The report assembled (pure) and written to a folder (atomic): same records, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from harness.reports import figures, plots
from harness.reports.content import Content, gather, table_files
from harness.reports.frame import PlannedCell
from harness.reports.html import Page, Plot, Section, render
from harness.reports.published import Published
from harness.reports.style import looks
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
) -> Report:
    """Assemble the report of `cells` and write all its files into the folder `out`."""
    report = assemble(cells, records, title, description, published)
    write(report, out)
    return report


def assemble(
    cells: Sequence[PlannedCell],
    records: Mapping[str, Record],
    title: str,
    description: str = "",
    published: Sequence[Published] = (),
) -> Report:
    """The report of `cells`; nothing is written. Records of other cells are ignored.

    `title` and `description` (the suite's, plain text) head the page; `published` numbers (see
    `load_published`) stand beside ours where the report has their methods.
    """
    content = gather(cells, records, published)
    drawn, overview = _draw(content, title)
    page = Page(
        title=title,
        description=description,
        summary=_summary(content),
        findings=content.findings,
        warnings=content.warnings,
        sections=_sections(content, {plot.name: [plot] for plot in drawn}),
        caveats=_CAVEATS,
    )
    files = {name: text.encode() for name, text in table_files(content).items()}
    files |= {f"{plot.name}.svg": plot.svg.encode() for plot in drawn}
    files |= overview
    files["index.html"] = render(page).encode()
    same = {field.name: getattr(content, field.name) for field in fields(Content)}
    return Report(**same, title=title, files=files)


def write(report: Report, out: Path) -> None:
    """Write every file of the report, each as a whole or not at all."""
    for name, content in report.files.items():
        write_bytes(out / name, content)


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


def _draw(content: Content, title: str) -> tuple[list[Plot], dict[str, bytes]]:
    """The plots, and the overview picture by its file name; nothing where there is no number."""
    at, grid = content.standing, content.grid
    if not at.top1["mean"].notna().any():
        return [], {}
    info = at.info
    look = looks(list(info.index), list(info.index[info["constant"]]))
    curves, frozen = plots.learning_curves(grid, at), plots.frozen_accuracy(grid)
    points, costs = plots.tradeoff(at), plots.cost(content.cells, at)
    drawn: list[Plot] = []

    def add(name: str, title: str, caption: str, draw: Callable[[], Figure]) -> None:
        drawn.append(Plot(name, title, caption, figures.svg(name, draw)))

    if len(curves):
        caption = "Mean over draws; bars are 95 % t intervals. Dashed: the frozen model."
        draw = partial(figures.accuracy_figure, curves, frozen, look)
        add("accuracy", "Accuracy against shots", caption, draw)
    if len(points):
        draw = partial(figures.tradeoff_figure, points, look)
        add("forgetting", "Accuracy against forgetting", _TRADEOFF, draw)
    if len(costs):
        caption = f"Mean top-1 at {at.shots[-1]} shots. Horizontal axes are logarithmic, from 0."
        draw = partial(figures.cost_figure, costs, look)
        add("cost", "Accuracy against cost", caption, draw)
    draw = partial(figures.overview_figure, curves, frozen, points, look, title)
    return drawn, {"overview.png": figures.png(draw)}


_TRADEOFF = (
    "Up is more accurate, right keeps more of the zero-shot accuracy on other data sets (0: "
    "nothing forgotten). Larger markers: more shots. Bars are 95 % t intervals. Methods that are "
    "not transferable have no point."
)


def _summary(content: Content) -> str:
    frame, at, counts = content.cells, content.standing, content.counts
    few = frame[frame["shots"] > 0]
    shots = ", ".join(str(k) for k in at.shots if k) or "no"
    parts = [
        _count(len(at.info), "method"),
        _count(frame["dataset"].nunique(), "data set"),
        f"{shots} shot{'s' if shots != '1' else ''}",
        _count(few["seed"].nunique(), "draw"),
        f"protocol {', '.join((few if len(few) else frame)['protocol'].unique())}",
        f"backbone {', '.join(frame['backbone'].unique())}",
        f"{counts['ok']:,} of {counts['planned']:,} cells finished",
    ]
    return " · ".join(parts)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _sections(content: Content, drawn: Mapping[str, Sequence[Plot]]) -> list[Section]:
    def section(name: str, title: str, side_by_side: bool = False) -> Section:
        tables = content.tables["per_dataset" if name == "accuracy" else name]
        return Section(name, title, "", drawn.get(name, ()), tables, side_by_side=side_by_side)

    titles = {"base_to_new": "Base to new classes", "transfer": "Transfer to other data sets"}
    others = [section(name, title) for name, title in titles.items() if name in content.tables]
    sections = [
        Section("leaderboard", "Leaderboard", "", (), [content.leaderboard]),
        section("accuracy", "Accuracy", side_by_side=True),
        *others,
        section("forgetting", "Forgetting"),
        section("paired", "Paired differences"),
        section("cost", "Cost"),
    ]
    if "published" in content.tables:
        sections.append(section("published", "Published numbers"))
    if content.undone.lines:
        sections.append(Section("undone", "Cells without a number", "", (), [content.undone]))
    sections.append(Section("provenance", "Provenance", "", (), content.origin, folded=True))
    return sections
