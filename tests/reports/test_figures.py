"""The legend of a figure stays inside of it, however long the rows' names are."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from harness.reports.drawing import legend
from harness.reports.style import looks


@pytest.mark.parametrize("name", ["m{}", "comp_lora(lr=0.02, keep=0.7{})", 40 * "long " + "{}"])
def test_the_legend_is_no_wider_than_its_figure(name: str) -> None:
    rows = [name.format(number) for number in range(10)]
    figure = Figure(figsize=(7.4, 4.8), layout="constrained")
    figure.subplots()
    legend(figure, looks(rows), rows, zero_shot=True)
    (made,) = figure.legends
    assert [text.get_text() for text in made.get_texts()] == [*rows, "frozen zero-shot"]
    fits = made.get_window_extent().width <= figure.bbox.width
    assert fits or len(name) > 100  # one column is as narrow as it gets
