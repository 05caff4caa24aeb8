"""Statistics of any accuracies: SciPy agrees, and what must not change them does not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from harness.reports.stats import mean_interval, paired, pareto, ranks, stratified

Values = NDArray[np.float64]
ACCURACY = st.integers(0, 800).map(lambda eighths: eighths / 8)  # sums of eighths are exact
CLOSE = {"rel": 1e-9, "abs": 1e-9}


def draws(least: int = 2, most: int = 6) -> st.SearchStrategy[list[float]]:
    return st.lists(ACCURACY, min_size=least, max_size=most)


@st.composite
def grids(draw: st.DrawFn, methods: int = 1) -> Values:
    """(R, S, D) accuracies of R methods on S draws of D data sets."""
    shape = (methods, draw(st.integers(2, 5)), draw(st.integers(1, 4)))
    cells = st.lists(ACCURACY, min_size=math.prod(shape), max_size=math.prod(shape))
    return np.array(draw(cells)).reshape(shape)


@given(draws())
def test_the_interval_of_one_data_set_is_students(values: list[float]) -> None:
    assume(len(set(values)) > 1)
    found = mean_interval(values)
    low, high = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


@given(draws(), draws())
def test_the_interval_over_two_data_sets_is_welchs(a: list[float], b: list[float]) -> None:
    """(ā + b̄) / 2 is half the difference of a and −b, whose interval SciPy knows."""
    assume(len(set(a)) > 1 and len(set(b)) > 1)
    grid = np.full((max(len(a), len(b)), 2), math.nan)
    grid[: len(a), 0], grid[: len(b), 1] = a, b
    found = stratified(grid)
    welch = scipy_stats.ttest_ind(a, [-value for value in b], equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert float(found.half) == pytest.approx((high - low) / 4)
    assert float(found.df) == pytest.approx(welch.df)


@given(grids(), st.integers(-50, 50), st.sampled_from([-2.0, 0.5, 3.0]), st.randoms())
def test_units_and_the_order_of_draws_do_not_matter(
    grid: Values, shift: int, scale: float, random: object
) -> None:
    one, (_, count, _) = stratified(grid[0]), grid.shape
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    other = stratified(scale * grid[0][order] + shift)
    assert float(other.mean) == pytest.approx(scale * float(one.mean) + shift, **CLOSE)
    assert float(other.half) == pytest.approx(abs(scale) * float(one.half), nan_ok=True, **CLOSE)


@given(draws(least=1), st.integers(1, 3))
def test_a_draw_without_a_value_is_no_draw(values: list[float], missing: int) -> None:
    one, other = mean_interval(values), mean_interval([*values, *[math.nan] * missing])
    assert (one.mean, one.n) == (other.mean, other.n)
    assert one.half == pytest.approx(other.half, nan_ok=True)


@given(grids())
def test_degrees_of_freedom_lie_between_the_smallest_sets_and_all(grid: Values) -> None:
    (_, count, sets), found = grid.shape, stratified(grid[0])
    assert count - 1 - 1e-9 <= float(found.df) <= sets * (count - 1) + 1e-9


@given(grids(), ACCURACY)
def test_a_settled_data_set_adds_its_mean_and_no_variance(grid: Values, value: float) -> None:
    (_, count, sets), one = grid.shape, stratified(grid[0])
    wider = np.column_stack([grid[0], np.full(count, value)])
    found = stratified(wider, settled=[False] * sets + [True])
    assert float(found.mean) == pytest.approx((sets * float(one.mean) + value) / (sets + 1))
    assert float(found.half) == pytest.approx(sets * float(one.half) / (sets + 1), **CLOSE)
    assert float(found.df) == pytest.approx(float(one.df))


@given(grids(methods=3))
def test_a_pair_is_compared_apart_from_what_its_draws_share(grid: Values) -> None:
    a, b, shared = grid
    found, turned, eased = paired(a, b), paired(b, a), paired(a + shared, b + shared)
    assert (found.mean, found.half) == pytest.approx((-turned.mean, turned.half), **CLOSE)
    assert (found.mean, found.half) == pytest.approx((eased.mean, eased.half), **CLOSE)
    assert found.verdict == eased.verdict
    assert paired(a, a).verdict == "undecided"


@given(grids(methods=4), st.permutations(range(4)))
def test_ranks_know_no_order_of_rows_and_agree_with_the_pairs(
    grid: Values, order: Sequence[int]
) -> None:
    names = np.array(["a", "b", "c", "d"])
    one = ranks(list(names), grid)
    other = ranks(list(names[list(order)]), grid[list(order)]).loc[one.index]
    assert other[["low", "high"]].equals(one[["low", "high"]])
    for i, name in enumerate(names):
        verdicts = [paired(grid[i], grid[j]).verdict for j in range(4)]
        assert one.loc[name, "low"] == 1 + verdicts.count("below")
        assert one.loc[name, "high"] == 4 - verdicts.count("above")
    assert (one["against"] == "highest").sum() == 1


@given(st.lists(st.tuples(ACCURACY | st.just(math.nan), ACCURACY), max_size=8))
def test_the_front_is_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    def dominates(p: tuple[float, float], q: tuple[float, float]) -> bool:
        return p[0] >= q[0] and p[1] >= q[1] and p != q

    front = pareto([x for x, _ in points], [y for _, y in points])
    best = [p for p, on in zip(points, front, strict=True) if on]
    for point, on in zip(points, front, strict=True):
        if math.isnan(point[0]):
            assert not on
        else:
            assert on != any(dominates(other, point) for other in best)
