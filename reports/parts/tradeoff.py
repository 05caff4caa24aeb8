"""Accuracy against forgetting: one point per row and number of shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.reports.drawing import legend, point, rows_of
from harness.reports.part import Part, Plot
from harness.reports.standing import Standing
from harness.reports.stats import pareto
from harness.reports.study import Study
from harness.reports.style import FAINT, Look


class Tradeoff(Part):
    """What is gained on the data adapted to, against what is lost on other data."""

    name, title = "tradeoff", "Forgetting"

    def plots(self, study: Study) -> Sequence[Plot]:
        points = tradeoff(study.standing)
        if points["constant"].all():
            return ()
        draw = partial(tradeoff_figure, points, study.looks)
        return [Plot("forgetting", "Accuracy against forgetting", _CAPTION, draw)]


_CAPTION = (
    "Up is more accurate, right keeps more of the zero-shot accuracy on other data sets (0: "
    "nothing forgotten). Larger markers: more shots. Bars are 95 % t intervals over distinct "
    "draws. Methods that are not transferable have no point. Numbers and n: leaderboard.csv."
)


def tradeoff(at: Standing) -> pd.DataFrame:
    """Top-1 against the mean change on retention sets, one point per row and shots.

    Columns row, shots, top1, top1_half, change, change_half, and `front`: no other point at the
    same number of shots is better in both.
    """
    both = at.top1.join(at.change[["mean", "half"]].add_suffix("_kept")).reset_index()
    both = both[both["mean"].notna() & both["mean_kept"].notna()]
    both = both[~at.info.loc[both["row"], "apart"].to_numpy() & (both["sets"] == both["of"])]
    names = {"mean": "top1", "half": "top1_half", "mean_kept": "change", "half_kept": "change_half"}
    table: pd.DataFrame = both.rename(columns=names)[["row", "shots", *names.values(), "constant"]]
    table["front"] = False
    for _, same in table.groupby("shots"):
        front = pareto(list(same["change"]), list(same["top1"]))
        table.loc[same.index, "front"] = front
    return table.reset_index(drop=True)


def tradeoff_figure(points: pd.DataFrame, look: Mapping[str, Look]) -> Figure:
    """Top-1 against the mean change on the retention sets; larger markers for more shots."""
    figure = Figure(figsize=(7.4, 4.8), layout="constrained")
    tradeoff_axes(figure.subplots(), points, look)
    legend(figure, look, rows_of(points))
    return figure


def tradeoff_axes(ax: Axes, points: pd.DataFrame, look: Mapping[str, Look]) -> None:
    """Points with bars both ways, joined over shots; the vertical line is "nothing forgotten"."""
    shots = sorted(points["shots"].unique())
    size = {k: 9.5 - 5.0 * i / max(1, len(shots) - 1) for i, k in enumerate(reversed(shots))}
    ax.axvline(0, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for row in rows_of(points):
        path = points[points["row"] == row].sort_values("shots")
        style = look[row]
        if path["constant"].all():
            path = path.tail(1)
        ax.plot(path["change"], path["top1"], color=style.colour, linewidth=1, alpha=0.7, zorder=2)
        for p in path.to_dict("records"):
            half = (p["change_half"], p["top1_half"])
            point(ax, p["change"], p["top1"], *half, style, size[p["shots"]])
    ax.set_xlabel("change of zero-shot accuracy on other data sets, points")
    ax.set_ylabel("top-1, %")
    ax.margins(0.06)
