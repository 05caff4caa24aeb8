"""Accuracy against cost: seconds to fit, and trained parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from harness.reports.drawing import legend, point, rows_of
from harness.reports.part import Part, Plot
from harness.reports.standing import Standing
from harness.reports.study import Study
from harness.reports.style import Look


class CostPlot(Part):
    """What accuracy at the most shots takes."""

    name, title = "cost_plot", "Cost"

    def plots(self, study: Study) -> Sequence[Plot]:
        table = cost(study.frame, study.standing)
        if table.empty:
            return ()
        caption = (
            f"Mean top-1 at {study.standing.drawn.name(study.standing.last)}, bars are 95 % t "
            "intervals over distinct draws. Horizontal axes are logarithmic, from 0. Numbers and "
            "n: leaderboard.csv and cost.csv."
        )
        draw = partial(cost_figure, table, study.looks)
        return [Plot("cost", "Accuracy against cost", caption, draw)]


def cost(frame: pd.DataFrame, at: Standing) -> pd.DataFrame:
    """Top-1 at the most shots against median fit seconds and trained parameters.

    Columns row, shots, top1, top1_half, fit_seconds, trainable.
    """
    columns = ["row", "shots", "top1", "top1_half", "fit_seconds", "trainable"]
    if not at.shots:
        return pd.DataFrame(columns=columns)
    last = at.shots[-1]
    done = frame[(frame["status"] == "ok") & frame["shots"].isin([0, last])]
    medians = done.astype({"trainable": "float64"}).groupby("row")[["fit_seconds", "trainable"]]
    top1 = at.top1.reset_index("shots").query("shots == @last").drop(columns="shots")
    top1 = top1.rename(columns={"mean": "top1", "half": "top1_half"})
    table: pd.DataFrame = top1.join(medians.median(), how="inner").reset_index().assign(shots=last)
    kept = ~at.info.loc[table["row"], "apart"].to_numpy() & (table["sets"] == table["of"])
    table = table[kept & table["top1"].notna()]
    return table[columns].reset_index(drop=True)


def cost_figure(table: pd.DataFrame, look: Mapping[str, Look]) -> Figure:
    """Top-1 at the most shots against seconds to fit and against trained parameters."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, name in ((left, "fit_seconds"), (right, "trainable")):
        for one in table.to_dict("records"):
            point(ax, one[name], one["top1"], None, one["top1_half"], look[one["row"]], 7)
        _log_from_zero(ax, table[name])
    left.set_ylabel("top-1, %")
    left.set_xlabel("median seconds to fit one cell")
    right.set_xlabel("trained parameters")
    legend(figure, look, rows_of(table))
    return figure


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
