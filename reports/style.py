"""How a method looks in every plot: one colour and one marker, fixed by its place in the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6BB1",
    "#A6761D",
)
"""Okabe and Ito's colour-blind-safe colours without black and yellow, with purple and brown."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
INK = "#1f2328"
"""Text and axes; the page replaces it by its own text colour."""
FAINT = "#8b949e"
"""Grid lines and the zero-shot line; readable on white and on black."""

RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
}


@dataclass(frozen=True)
class Look:
    colour: str
    marker: str

    @property
    def scale(self) -> float:
        """Size that makes the marker look as large as a circle."""
        return {"s": 0.92, "P": 1.25, "X": 1.25, "D": 0.9}.get(self.marker, 1.1)


def looks(rows: Sequence[str], constant: Sequence[str] = ()) -> dict[str, Look]:
    """Colour and marker per row; the pair is unique for up to 88 rows.

    The first of the `constant` rows (the frozen model) has the colour of its line in the plots.
    """
    frozen = [row for row in rows if row in constant][:1]
    others = [row for row in rows if row not in frozen]
    table = {row: Look(FAINT, "o") for row in frozen}
    for i, row in enumerate(others):
        table[row] = Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
    return {row: table[row] for row in rows}
