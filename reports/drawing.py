"""What all plots share: SVG text and PNG bytes without a date in them, legends, points, bars."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.reports.style import FAINT, RC, Look

EDGE: dict[str, Any] = {"markeredgecolor": "#ffffff", "markeredgewidth": 0.4}


def svg(name: str, draw: Callable[[], Figure]) -> str:
    """The figure as an SVG document: no date, fixed ids, text as text."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        draw().savefig(buffer, format="svg", metadata=empty, transparent=True)
    made = buffer.getvalue()
    used = set(re.findall(r"#([\w-]+)[\")]", made))
    made = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", made)
    return "\n".join(line.rstrip() for line in made.splitlines()) + "\n"


def png(draw: Callable[[], Figure]) -> bytes:
    """The figure as a PNG on white, 150 dots per inch."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = draw()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def legend(
    figure: Figure,
    look: Mapping[str, Look],
    rows: list[str],
    zero_shot: bool = False,
    place: Any = "outside upper left",
) -> None:
    """One legend for the whole figure, outside its axes and no wider than it is."""
    handles = []
    for row in (row for row in look if row in rows):
        style: dict[str, Any] = {"color": look[row].colour, "marker": look[row].marker}
        style["markersize"] = 6.5 * look[row].scale
        handles.append(Line2D([], [], label=text(row), linestyle="", **style, **EDGE))
    if zero_shot:
        dashes: Any = (0, (4, 3))
        handles.append(Line2D([], [], color=FAINT, linestyle=dashes, label="frozen zero-shot"))
    if handles:
        most = min(len(handles), max(2, int(figure.get_figwidth() / 1.45)))
        for columns in range(most, 0, -1):
            made = figure.legend(handles=handles, loc=place, ncols=columns)
            if columns == 1 or made.get_window_extent().width <= figure.bbox.width:
                break
            made.remove()


def point(
    ax: Axes, x: float, y: float, dx: float | None, dy: float, look: Look, size: float
) -> None:
    """A marker with bars of these half widths; none sideways where `dx` is None."""
    both: dict[str, Any] = {"xerr": bars([dx]) if dx is not None else None, "yerr": bars([dy])}
    ax.errorbar([x], [y], **both, color=look.colour, elinewidth=1, alpha=0.45, linestyle="")
    size *= look.scale
    ax.plot([x], [y], look.marker, color=look.colour, markersize=size, zorder=3, **EDGE)


def bars(half: Any) -> list[float]:
    """Half widths as error bars: nothing where there is no interval."""
    return [0.0 if pd.isna(value) else float(value) for value in half]


def rows_of(table: pd.DataFrame) -> list[str]:
    """The rows of a frame, in order of appearance."""
    return [str(row) for row in dict.fromkeys(table["row"])]


def text(name: str) -> str:
    """A name as legend text: matplotlib drops labels that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name
