"""`overview.png`: one picture for a README, accuracy against shots and against forgetting."""

from __future__ import annotations

from matplotlib.figure import Figure

from harness.reports.drawing import legend, rows_of, text
from harness.reports.parts.curves import AVERAGE, curve_axes, frozen_accuracy, learning_curves
from harness.reports.parts.tradeoff import tradeoff, tradeoff_axes
from harness.reports.study import Study


def overview_figure(study: Study, title: str) -> Figure:
    """Mean accuracy against shots (of one data set, its own), and against forgetting."""
    curves, frozen = learning_curves(study), frozen_accuracy(study.grid)
    points, look = tradeoff(study.standing), study.looks
    figure = Figure(figsize=(10.4, 4.9), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    panel = curves["panel"].iloc[0] if len(curves) else AVERAGE
    curve_axes(left, curves[curves["panel"] == panel], frozen.get(panel), look)
    left.set_title(text(f"Accuracy, {panel}"))
    left.set_xlabel("shots per class")
    left.set_ylabel("top-1, %")
    tradeoff_axes(right, points, look)
    right.set_title("Accuracy against forgetting")
    figure.suptitle(text(title), weight="bold", x=0.01, ha="left")
    rows = [*rows_of(curves), *(row for row in rows_of(points) if row not in rows_of(curves))]
    legend(figure, look, rows, zero_shot=True, place="outside lower left")
    return figure
