"""Accuracy against shots: the mean over data sets, and every data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.reports.drawing import EDGE, bars, legend, rows_of, text
from harness.reports.part import Part, Plot
from harness.reports.study import Study
from harness.reports.style import FAINT, Look

AVERAGE = "mean over data sets"


class Curves(Part):
    """One small panel per data set, after one of averages."""

    name, title = "curves", "Accuracy"

    def plots(self, study: Study) -> Sequence[Plot]:
        curves = learning_curves(study)
        if curves.empty:
            return ()
        draw = partial(accuracy_figure, curves, frozen_accuracy(study.grid), study.looks)
        caption = (
            "Mean over draws; bars are 95 % t intervals over distinct draws. Dashed: the frozen "
            "model. Numbers and n: leaderboard.csv and per_dataset.csv; cell by cell: cells.csv."
        )
        return [Plot("accuracy", "Accuracy against shots", caption, draw)]


def learning_curves(study: Study) -> pd.DataFrame:
    """Top-1 against shots: columns panel, row, shots, top1, top1_half, constant.

    One panel per data set after a first panel of averages (where there are several data sets).
    The frozen model's own row is left out: `frozen_accuracy` has it as a level.
    """
    columns = ["panel", "row", "shots", "top1", "top1_half", "constant"]
    grid, at = study.grid, study.standing
    if grid.empty:
        return pd.DataFrame(columns=columns)
    each = study.per_dataset.reset_index().rename(columns={"dataset": "panel"})
    parts = [each.loc[~at.info.loc[each["row"], "apart"].to_numpy(), columns]]
    if grid["dataset"].nunique() > 1:
        mean = at.top1.reset_index().rename(columns={"mean": "top1", "half": "top1_half"})
        mean = mean[~at.info.loc[mean["row"], "apart"].to_numpy() & (mean["sets"] == mean["of"])]
        mean = mean.assign(panel=AVERAGE)
        parts.insert(0, mean[columns])
    table: pd.DataFrame = pd.concat(parts, ignore_index=True)
    levels = table["panel"].map(frozen_accuracy(grid))
    apart = ~table["constant"] | ((table["top1"] - levels).abs() > 1e-6)
    moving = apart.groupby(table["row"]).transform("any")
    return table[table["top1"].notna() & moving].reset_index(drop=True)


def frozen_accuracy(grid: pd.DataFrame) -> dict[str, float]:
    """The frozen model's top-1 per panel of `learning_curves`."""
    means = grid.groupby("dataset", sort=False)["zero_shot_top1"].mean().dropna()
    levels = {str(name): float(value) for name, value in means.items()}
    return levels if len(levels) < 2 else {AVERAGE: sum(levels.values()) / len(levels), **levels}


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
        ax.set_title(text(panel), weight="bold" if panel == AVERAGE else "normal")
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel("top-1, %")
    for ax in axes[max(0, len(panels) - across) : len(panels)]:
        ax.set_xlabel("shots per class")
    legend(figure, look, rows_of(curves), zero_shot=True)
    return figure


def curve_axes(
    ax: Axes,
    curves: pd.DataFrame,
    frozen: float | None,
    look: Mapping[str, Look],
) -> None:
    """One panel of learning curves. Shots are evenly spaced; methods are dodged a little."""
    shots = sorted(curves["shots"].unique())
    here = set(rows_of(curves))
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
        ax.errorbar(x, line["top1"], yerr=bars(line["top1_half"]), color=style.colour, elinewidth=1)
        size = 5.5 * style.scale
        ax.plot(x, line["top1"], style.marker, color=style.colour, markersize=size, **EDGE)
    ax.set_xticks(range(len(shots)), [str(k) for k in shots])
    ax.set_xlim(-0.4, len(shots) - 0.6 + 1e-9 if shots else 0.4)
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.08)
