"""Statistics against hand-computed cases."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from harness.reports.stats import (
    Interval,
    grouped,
    mean_interval,
    paired,
    pareto,
    ranks,
    stratified,
)


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


def test_a_mean_over_data_sets_by_hand() -> None:
    # a: 50, 54, 58, s² = 16; b: 70, 66, 68, s² = 4. Mean (54 + 68)/2; SE² = (16/3 + 4/3)/4 = 5/3;
    # df = (16/3 + 4/3)² / ((16/3)²/2 + (4/3)²/2) = 50/17
    found = stratified([[50.0, 70.0], [54.0, 66.0], [58.0, 68.0]])
    assert found.mean == 61.0
    assert found.df == pytest.approx(50 / 17)
    assert found.half == pytest.approx(student.ppf(0.975, 50 / 17) * math.sqrt(5 / 3))
    assert (found.fewest, found.most, found.sets, bool(found.whole)) == (3, 3, 2, True)


def test_a_settled_data_set_adds_its_mean_and_no_variance() -> None:
    draws = np.array([[50.0, 80.0], [54.0, np.nan], [58.0, np.nan]])
    found = stratified(draws, [False, True])
    assert found.mean == 67.0
    assert found.half == pytest.approx(mean_interval(draws[:, 0]).half / 2)
    assert (found.fewest, found.most) == (1, 3)
    assert math.isnan(stratified(draws).half), "one draw of several decides nothing"
    assert math.isnan(stratified(draws[:1], [True, True]).half), "nothing varies: no interval"


def test_a_mean_that_lacks_a_data_set_is_not_whole() -> None:
    found = stratified([[50.0, math.nan], [54.0, math.nan]])
    assert (found.mean, found.sets, bool(found.whole)) == (52.0, 1, False)
    assert math.isnan(found.half)


@pytest.mark.parametrize("datasets", [1, 2, 5, 11])
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_intervals_cover_the_true_mean(datasets: int, spread: float) -> None:
    """Three draws a data set, standard deviations equal or spread over a factor of 8."""
    random = np.random.default_rng(7)
    sigma = np.geomspace(1.0, spread, datasets)
    truth = np.arange(datasets, dtype=float)
    values = truth + sigma * random.standard_normal((40_000, 3, datasets))
    found = stratified(values)
    covered = float((abs(found.mean - truth.mean()) <= found.half).mean())
    assert 0.93 <= covered <= 0.97


def test_strata_are_narrower_than_the_averages_of_draws() -> None:
    """.37 σ against .62 σ for three draws on eleven data sets (half widths, in the mean)."""
    random = np.random.default_rng(7)
    values = random.standard_normal((20_000, 3, 11))
    ours = stratified(values).half.mean()
    theirs = stratified(values.mean(axis=-1, keepdims=True)).half.mean()
    assert ours == pytest.approx(0.37, abs=0.01)
    assert theirs == pytest.approx(0.66, abs=0.05)


def test_pairing_removes_what_the_draws_share() -> None:
    a = np.array([[50.0], [60.0], [70.0]])
    b = np.array([[49.0], [58.9], [69.1]])
    found = paired(a, b)
    assert found.mean == pytest.approx(1.0)
    assert found.verdict == "above" and paired(b, a).verdict == "below"
    assert mean_interval(a).half > 20 > 1 > found.half


def test_pairing_uses_common_draws_only() -> None:
    a = np.array([[1.0], [5.0], [math.nan]])
    b = np.array([[math.nan], [3.0], [9.0]])
    assert paired(a, b) == Interval(2.0, pytest.approx(math.nan, nan_ok=True), 1)
    assert paired(a[:1], b[:1]).n == 0


def test_grouped_agrees_with_one_by_one() -> None:
    frame = pd.DataFrame({"g": list("aaabbc"), "x": [1.0, 2.0, 6.0, 3.0, 5.0, 7.0]})
    table = grouped(frame, ["g"], "x")
    for name, rows in frame.groupby("g"):
        one = mean_interval(rows["x"])
        assert table.loc[name, "mean"] == pytest.approx(one.mean)
        assert table.loc[name, "half"] == pytest.approx(one.half, nan_ok=True)
        assert table.loc[name, "n"] == one.n


def ranked(rows: dict[str, list[float]]) -> pd.DataFrame:
    """Ranks from the draws of one data set."""
    return ranks(list(rows), np.array(list(rows.values()))[:, :, None])


def test_ranks_say_what_is_undecided() -> None:
    rows = {"far": [40.0, 45.1, 50.2], "best": [50.0, 55.0, 60.0], "close": [51.0, 53.5, 60.2]}
    table = ranked(rows)
    assert table["against"].to_dict() == {"far": "below", "best": "highest", "close": "undecided"}
    assert table.loc["far", ["low", "high"]].tolist() == [3, 3]
    assert table.loc["best", ["low", "high"]].tolist() == [1, 2]
    assert table.loc["close", "gap"] == pytest.approx(-0.1)
    assert table.loc["close", "gap_half"] == pytest.approx(mean_interval([1, -1.5, 0.2]).half)


def test_a_row_stands_below_all_that_are_ahead_of_it() -> None:
    table = ranked({"c": [10.0, 10.1, 10.2], "a": [30.0, 30.2, 30.1], "b": [20.0, 20.1, 20.3]})
    assert table["low"].to_dict() == table["high"].to_dict() == {"a": 1, "b": 2, "c": 3}


def test_ranks_leave_out_what_has_one_draw() -> None:
    assert list(ranked({"a": [1.0, 2.0], "b": [9.0, math.nan]}).index) == ["a"]
    assert ranked({"a": [1.0], "b": [2.0]}).empty


def test_equal_methods_are_undecided() -> None:
    table = ranked({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]})
    assert table["against"].tolist() == ["highest", "undecided"]
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
