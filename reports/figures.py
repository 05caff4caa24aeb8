"""The plots of `plots.py` drawn with matplotlib, as deterministic SVG text and PNG bytes."""

from __future__ import annotations

import io
import math
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
from matplotlib.ticker import NullLocator

from harness.reports.plots import AVERAGE
from harness.reports.style import FAINT, INK, RC, Look


def svg(name: str, draw: Callable[[], Figure]) -> str:
    """The figure as an SVG document: no date, fixed ids, text as text."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        draw().savefig(buffer, format="svg", metadata=empty, transparent=True)
    text = buffer.getvalue()
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    text = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def png(draw: Callable[[], Figure]) -> bytes:
    """The figure as a PNG on white, 150 dots per inch."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = draw()
        FigureCanvasAgg(figure)
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def accuracy_figure(
    curves: pd.DataFrame, frozen: Mapping[str, float], look: Mapping[str, Look]
) -> Figure:
    """Top-1 against shots, one small panel per data set, intervals as bars."""
    panels = list(dict.fromkeys(curves["panel"]))
    across = min(3, max(1, len(panels)))
    down = max(1, -(-len(panels) // across))
    size = (3.5 * across + 0.3, 2.75 * down + 0.9) if len(panels) > 1 else (7.4, 4.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        curve_axes(ax, curves[curves["panel"] == panel], frozen.get(panel), look)
        ax.set_title(_text(panel), weight="bold" if panel == AVERAGE else "normal")
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel("top-1, %")
    for ax in axes[max(0, len(panels) - across) : len(panels)]:
        ax.set_xlabel("shots per class")
    legend(figure, look, _rows(curves), zero_shot=True)
    return figure


def tradeoff_figure(points: pd.DataFrame, look: Mapping[str, Look]) -> Figure:
    """Top-1 against the mean change on the retention sets; larger markers for more shots."""
    figure = Figure(figsize=(7.4, 4.8), layout="constrained")
    tradeoff_axes(figure.subplots(), points, look)
    legend(figure, look, _rows(points))
    return figure


def cost_figure(table: pd.DataFrame, look: Mapping[str, Look]) -> Figure:
    """Top-1 at the most shots against seconds to fit and against trained parameters."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, name in ((left, "fit_seconds"), (right, "trainable")):
        for point in table.to_dict("records"):
            style = look[point["row"]]
            _point(ax, point[name], point["top1"], None, point["top1_half"], style, 7)
        _log_from_zero(ax, table[name])
    left.set_ylabel("top-1, %")
    left.set_xlabel("median seconds to fit one cell")
    right.set_xlabel("trained parameters")
    legend(figure, look, _rows(table))
    return figure


def overview_figure(
    curves: pd.DataFrame,
    frozen: Mapping[str, float],
    points: pd.DataFrame,
    look: Mapping[str, Look],
    title: str,
) -> Figure:
    """One picture for a README: mean accuracy against shots, and against forgetting."""
    figure = Figure(figsize=(10.4, 4.9), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    panel = curves["panel"].iloc[0] if len(curves) else AVERAGE
    curve_axes(left, curves[curves["panel"] == panel], frozen.get(panel), look)
    left.set_title(_text(f"Accuracy, {panel}"))
    left.set_xlabel("shots per class")
    left.set_ylabel("top-1, %")
    tradeoff_axes(right, points, look)
    right.set_title("Accuracy against forgetting")
    figure.suptitle(_text(title), weight="bold", x=0.01, ha="left")
    rows = [*_rows(curves), *(row for row in _rows(points) if row not in _rows(curves))]
    legend(figure, look, rows, zero_shot=True, place="outside lower left")
    return figure


def curve_axes(
    ax: Axes, curves: pd.DataFrame, frozen: float | None, look: Mapping[str, Look]
) -> None:
    """One panel of learning curves. Shots are evenly spaced; methods are dodged a little."""
    shots = sorted(curves["shots"].unique())
    here = set(_rows(curves))
    rows = [row for row in look if row in here]
    if frozen is not None:
        ax.axhline(frozen, color=FAINT, linewidth=1.4, linestyle=(0, (4, 3)), zorder=1)
    moving = [row for row in rows if not curves.loc[curves["row"] == row, "constant"].all()]
    for row in (row for row in rows if row not in moving):
        level = float(curves.loc[curves["row"] == row, "top1"].iloc[0])
        ax.axhline(level, color=look[row].colour, linewidth=1.2, linestyle=":")
    for i, row in enumerate(moving):
        line = curves[curves["row"] == row].sort_values("shots")
        step = 0.32 / max(1, len(moving) - 1)
        x = [shots.index(k) + (i - (len(moving) - 1) / 2) * step for k in line["shots"]]
        style = look[row]
        ax.errorbar(
            x, line["top1"], yerr=_bars(line["top1_half"]), color=style.colour, elinewidth=1
        )
        size = 5.5 * style.scale
        ax.plot(x, line["top1"], style.marker, color=style.colour, markersize=size, **_EDGE)
    ax.set_xticks(range(len(shots)), [str(k) for k in shots])
    ax.set_xlim(-0.4, len(shots) - 0.6 + 1e-9 if shots else 0.4)
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.08)


def tradeoff_axes(ax: Axes, points: pd.DataFrame, look: Mapping[str, Look]) -> None:
    """Points with bars both ways, joined over shots; the vertical line is "nothing forgotten"."""
    shots = sorted(points["shots"].unique())
    size = {k: 9.5 - 5.0 * i / max(1, len(shots) - 1) for i, k in enumerate(reversed(shots))}
    ax.axvline(0, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for row in _rows(points):
        path = points[points["row"] == row].sort_values("shots")
        style = look[row]
        if path["constant"].all():
            path = path.tail(1)
        ax.plot(path["change"], path["top1"], color=style.colour, linewidth=1, alpha=0.7, zorder=2)
        for p in path.to_dict("records"):
            half = (p["change_half"], p["top1_half"])
            _point(ax, p["change"], p["top1"], *half, style, size[p["shots"]])
    ax.set_xlabel("change of zero-shot accuracy on other data sets, points")
    ax.set_ylabel("top-1, %")
    ax.margins(0.06)


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
        handles.append(Line2D([], [], label=_text(row), linestyle="", **style, **_EDGE))
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


def _log_from_zero(ax: Axes, values: pd.Series[float]) -> None:
    """A logarithmic horizontal axis that also has room for 0, with plain numbers at decades."""
    known = values[values > 0]
    low = math.floor(math.log10(known.min())) if len(known) else 0
    high = max(low + 1, math.ceil(math.log10(known.max()))) if len(known) else 1
    decades = range(low, high + 1, max(1, (high - low) // 4))
    ax.set_xscale("symlog", linthresh=10.0**low, linscale=0.5)
    ax.set_xticks([0, *(10.0**d for d in decades)], ["0", *(f"{10.0**d:,.10g}" for d in decades)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(-0.2 * 10.0**low, 10.0**high * 1.3)


_EDGE: dict[str, Any] = {"markeredgecolor": "#ffffff", "markeredgewidth": 0.4}


def _point(
    ax: Axes, x: float, y: float, dx: float | None, dy: float, look: Look, size: float
) -> None:
    bars: dict[str, Any] = {"xerr": _bars([dx]) if dx is not None else None, "yerr": _bars([dy])}
    ax.errorbar([x], [y], **bars, color=look.colour, elinewidth=1, alpha=0.45, linestyle="")
    size *= look.scale
    ax.plot([x], [y], look.marker, color=look.colour, markersize=size, zorder=3, **_EDGE)


def _bars(half: Any) -> list[float]:
    return [0.0 if pd.isna(value) else float(value) for value in half]


def _rows(table: pd.DataFrame) -> list[str]:
    return [str(row) for row in dict.fromkeys(table["row"])]


def _text(name: str) -> str:
    """A name as legend text: matplotlib drops labels that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


__all__ = [
    "INK",
    "accuracy_figure",
    "cost_figure",
    "overview_figure",
    "png",
    "svg",
    "tradeoff_figure",
]
