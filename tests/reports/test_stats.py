"""Statistics against hand-computed cases."""

import math

import numpy as np
import pandas as pd
import pytest

from harness.reports.stats import Interval, grouped, mean_interval, paired, pareto, ranks


def test_t_interval_of_three_draws_by_hand() -> None:
    # 60, 62, 64: mean 62, s = 2, t(.975, 2) = 4.302653, half = 4.302653 · 2 / √3
    found = mean_interval([60.0, 62.0, 64.0])
    assert found.mean == 62.0
    assert found.n == 3
    assert found.half == pytest.approx(4.9682757, abs=1e-6)


def test_t_interval_of_two_draws_by_hand() -> None:
    # s = √2/2 · 2 = √2, t(.975, 1) = 12.706205, half = 12.706205 · √2 / √2
    assert mean_interval([1.0, 3.0]).half == pytest.approx(12.7062047, abs=1e-6)


def test_one_draw_has_no_interval_and_decides_nothing() -> None:
    found = mean_interval([5.0])
    assert found.mean == 5.0
    assert math.isnan(found.half)
    assert found.includes_zero


def test_no_draw_is_not_zero() -> None:
    assert math.isnan(mean_interval([math.nan]).mean)


def test_pairing_removes_what_the_draws_share() -> None:
    a = pd.Series([50.0, 60.0, 70.0], index=[1, 2, 3])
    b = pd.Series([49.0, 58.9, 69.1], index=[1, 2, 3])
    found = paired(a, b)
    assert found.mean == pytest.approx(1.0)
    assert not found.includes_zero
    assert mean_interval(a).half > 20 > 1 > found.half


def test_pairing_uses_common_draws_only() -> None:
    a = pd.Series([1.0, 5.0], index=[1, 2])
    b = pd.Series([3.0, 9.0], index=[2, 3])
    assert paired(a, b) == Interval(2.0, pytest.approx(math.nan, nan_ok=True), 1)


def test_grouped_agrees_with_one_by_one() -> None:
    frame = pd.DataFrame({"g": list("aaabbc"), "x": [1.0, 2.0, 6.0, 3.0, 5.0, 7.0]})
    table = grouped(frame, ["g"], "x")
    for name, rows in frame.groupby("g"):
        one = mean_interval(rows["x"])
        assert table.loc[name, "mean"] == pytest.approx(one.mean)
        assert table.loc[name, "half"] == pytest.approx(one.half, nan_ok=True)
        assert table.loc[name, "n"] == one.n


def test_ranks_state_ties() -> None:
    base = np.array([50.0, 55.0, 60.0])
    draws = pd.DataFrame(
        {
            "far": base - 10 + np.array([0, 0.1, 0.2]),
            "best": base,
            "tied": base + np.array([1.0, -1.5, 0.2]),
        }
    )
    table = ranks(draws)
    assert table["best"].to_dict() == {"far": False, "best": True, "tied": True}
    assert table.loc["far", ["low", "high"]].tolist() == [3, 3]
    assert table.loc["best", ["low", "high"]].tolist() == [1, 2]


def test_ranks_leave_out_what_has_one_draw() -> None:
    draws = pd.DataFrame({"a": [1.0, 2.0], "b": [9.0, math.nan]})
    assert list(ranks(draws).index) == ["a"]
    assert ranks(draws.head(1)).empty


def test_equal_methods_are_tied() -> None:
    draws = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]})
    table = ranks(draws)
    assert table["best"].all()
    assert table["low"].tolist() == [1, 1]
    assert table["high"].tolist() == [2, 2]


def test_pareto_front() -> None:
    assert pareto([0.0, -1.0, -2.0, math.nan], [50.0, 60.0, 55.0, 99.0]) == [
        True,
        True,
        False,
        False,
    ]
    assert pareto([1.0, 1.0], [2.0, 2.0]) == [True, True]
