"""The search as the page shows it: grids, choices, the trace, and best values at an edge."""

from __future__ import annotations

import dataclasses

import pytest
from synthetic import FakeCell, grid, record, records

from harness.reports import Content, assemble, gather
from harness.reports.trials import edges
from harness.store.record import Draw, Record


def searched(cell: FakeCell, accuracies: dict[float, float], val: str = "") -> Record:
    """A record that tried these rates and chose the first best one."""
    made = record(cell)
    assert made.cost is not None and made.draw is not None
    best = max(accuracies, key=lambda rate: accuracies[rate])
    return dataclasses.replace(
        made,
        search=[
            {"config": {"lr": rate, "steps": 5}, "top1": top1, "on": "val"}
            for rate, top1 in accuracies.items()
        ],
        chosen={"lr": best, "steps": 5},
        cost=dataclasses.replace(made.cost, evaluations=len(accuracies)),
        draw=Draw(made.draw.id, "coop", 40, val or f"v{cell.seed}", 20, 10, 0),
    )


def report_of(accuracies: list[dict[float, float]], val: str = "") -> Content:
    frozen = grid(["zero_shot"], ["a"])
    cells = [dataclasses.replace(c, protocol="val_search") for c in grid(["lora"], ["a"], [4])]
    found = {c.id: searched(c, accuracies[c.seed - 1], val) for c in cells}
    return gather([*frozen, *cells], records(frozen) | found)


INSIDE = {0.1: 40.0, 0.01: 50.0, 0.001: 45.0}
EDGE = {0.1: 60.0, 0.01: 50.0, 0.001: 45.0}
TIED = {0.1: 50.0, 0.01: 50.0, 0.001: 45.0}


def test_the_grid_and_what_was_chosen() -> None:
    report = report_of([INSIDE, INSIDE, EDGE])
    (line,) = report.tables["search"][0].lines
    assert [e.text for e in line.entries] == ["lr", "0.001, 0.01, 0.1", "0.01 (2×), 0.1 (1×)", "3"]
    (chosen,) = report.tables["chosen"][0].lines
    assert chosen.entries[-1].text == (
        "seed 1: lr = 0.01 (50.0 %); seed 2: lr = 0.01 (50.0 %); seed 3: lr = 0.1 (60.0 %)"
    )
    trace = report.tables["trials"][0]
    shown = {line.entries[0].text: line.entries[1] for line in trace.lines}
    assert shown["lr = 0.1"].text == "46.7" and shown["lr = 0.1"].sub == "chosen 1 of 3"
    assert len(trace.data) == 9 and trace.data["chosen"].sum() == 3


@pytest.mark.parametrize(("accuracies", "warned"), [(INSIDE, False), (EDGE, True), (TIED, False)])
def test_a_best_value_at_the_edge_is_warned_of(
    accuracies: dict[float, float], warned: bool
) -> None:
    """Not where a value between is as good: then the order of trying decided."""
    report = report_of([accuracies] * 3)
    assert [s.startswith("lora: searches ended at the edge") for s in edges(report.study)] == (
        [True] if warned else []
    )
    assert set(edges(report.study)) <= set(report.warnings)


def test_of_two_values_each_is_an_edge_and_says_nothing() -> None:
    assert edges(report_of([{0.1: 1.0, 0.01: 2.0}] * 3).study) == []


def test_one_validation_draw_for_all_seeds_is_said() -> None:
    assert any("a at 4 shots (the split" in s for s in report_of([INSIDE] * 3, "same").warnings)
    assert not any("validation images:" in s for s in report_of([INSIDE] * 3).warnings)


def test_caveats_speak_of_the_protocols_that_are_there() -> None:
    page = assemble(report_of([INSIDE] * 3), "t").files["index.html"].decode()
    caveats = page.partition('id="caveats"')[2]
    assert "its own validation images chose" in caveats and "protocol fixed" not in caveats
    cells = grid(["zero_shot", "lora"], ["a"], [4])
    page = assemble(gather(cells, records(cells)), "t").files["index.html"].decode()
    caveats = page.partition('id="caveats"')[2]
    assert "protocol fixed" in caveats and "validation images" not in caveats
    assert "<h2>Search</h2>" not in page
