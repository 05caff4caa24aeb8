"""Measures against cases worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from running import ONE_SET, Run, numbers
from small_suite import MakePlan

from harness.errors import HarnessError
from harness.measure import Scored, measure
from harness.reports.frame import cell_frame
from harness.run.measures import STANDARD, ece, measured, per_class_mean


def scored(logits: torch.Tensor, labels: list[int], frozen: torch.Tensor | None = None) -> Scored:
    classes = tuple(f"class {number}" for number in range(logits.shape[1]))
    return Scored(logits, frozen, torch.tensor(labels), classes, torch.zeros(len(classes)).long())


def logits_of(predictions: list[int], classes: int) -> torch.Tensor:
    return 10.0 * torch.nn.functional.one_hot(torch.tensor(predictions), classes).float()


def confident(*confidences: float) -> torch.Tensor:
    """Logits of two classes that predict class 0 with these probabilities."""
    return torch.tensor([[c, 1 - c] for c in confidences], dtype=torch.float64).log()


def test_top1_per_class_mean_gain_and_flips() -> None:
    labels = [0, 0, 0, 0, 1, 1, 2, 2]
    adapted = logits_of([0, 0, 1, 2, 1, 1, 2, 0], 4)  # ✓ ✓ ✗ ✗ ✓ ✓ ✓ ✗
    frozen = logits_of([0, 2, 0, 0, 0, 0, 2, 3], 4)  # ✓ ✗ ✓ ✓ ✗ ✗ ✓ ✗
    found = measured(scored(adapted, labels, frozen))
    assert found.pop("ece") == pytest.approx(100 * abs(5 / 8 - 1), abs=0.1)
    assert found.pop("per_class_mean") == pytest.approx(100 * (2 / 4 + 2 / 2 + 1 / 2) / 3)
    assert found == {
        "images": 8,
        "top1": 62.5,
        "zero_shot_top1": 50.0,
        "gain": 12.5,
        "lost": 2,
        "won": 3,
    }


def test_without_a_frozen_classifier_nothing_is_compared_with_it() -> None:
    found = measured(scored(logits_of([0, 1], 2), [0, 0]))
    assert found.keys() == {"images", "top1", "per_class_mean", "ece"}


def test_a_class_without_test_images_does_not_enter_the_per_class_mean() -> None:
    assert per_class_mean(scored(logits_of([2, 2], 3), [2, 2])) == 100.0
    # One with a single image does: 2/2 and 0/1.
    assert per_class_mean(scored(logits_of([2, 2, 2], 3), [2, 2, 1])) == 50.0


def test_calibration_error_by_hand() -> None:
    # Two images of two classes, confidence .6 each; one right, one wrong: |.5 − .6| = 10 points.
    assert ece(scored(confident(0.6, 0.6), [0, 1])) == pytest.approx(10.0)
    # Different bins do not cancel: confidence .6 wrong, confidence .9 right → (60 + 10) / 2.
    assert ece(scored(confident(0.6, 0.9), [1, 0])) == pytest.approx(35.0)


def test_calibration_error_has_fifteen_bins() -> None:
    # .61 and .69 lie in (9/15, 10/15] and (10/15, 11/15], so they do not cancel: with one right
    # and one wrong image, (|1 − .61| + |0 − .69|) / 2. Ten bins would put both into (.6, .7].
    assert ece(scored(confident(0.61, 0.69), [0, 1])) == pytest.approx(100 * (0.39 + 0.69) / 2)
    # .67 and .73 share (10/15, 11/15]: |.5 − .70|. Of fourteen or sixteen equal bins they share
    # none (10/14 = .714 and 11/16 = .6875 lie between them).
    assert ece(scored(confident(0.67, 0.73), [0, 1])) == pytest.approx(100 * 0.2)


def test_a_bin_holds_its_upper_end_and_not_its_lower() -> None:
    # Five equal logits give exactly 1/5 = 3/15, which closes the third bin; .22 is in the fourth.
    unsure = torch.tensor([0.22, 0.195, 0.195, 0.195, 0.195], dtype=torch.float64).log()
    both = torch.stack([torch.zeros(5, dtype=torch.float64), unsure])
    assert ece(scored(both, [1, 0])) == pytest.approx(100 * (0.2 + 0.78) / 2)


def test_certain_and_right_is_perfectly_calibrated() -> None:
    assert ece(scored(torch.tensor([[1000.0, 0.0]]), [0])) == 0.0


def test_an_unchanged_model_has_forgotten_exactly_nothing() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    found = measured(scored(logits, [i % 7 for i in range(50)], logits.clone()))
    assert (found["gain"], found["won"], found["lost"]) == (0.0, 0, 0)


def test_every_measure_says_what_it_is() -> None:
    for one in STANDARD:
        assert one.summary.endswith(".") and one.unit in ("percent points", "images")
    assert (
        not ece.higher_is_better
        and not dict((m.name, m) for m in STANDARD)["lost"].higher_is_better
    )


@pytest.mark.parametrize("returned", [math.nan, math.inf, "12", True, [1.0], torch.zeros(2)])
def test_what_is_no_finite_number_is_refused_with_the_measures_name(returned: object) -> None:
    @measure()
    def broken(scored: Scored) -> float:
        return returned  # type: ignore[return-value]

    with pytest.raises(ValueError, match=r'measure "broken" returned .*expected a finite number'):
        broken(scored(logits_of([0], 2), [0]))


def test_a_measure_of_every_image_is_refused_in_one_line() -> None:
    @measure()
    def each(scored: Scored) -> torch.Tensor:
        return scored.logits.repeat(100, 1).max(1).values

    with pytest.raises(ValueError, match=r'"each" returned a tensor of shape \(100,\)') as caught:
        each(scored(logits_of([0], 2), [0]))
    assert "\n" not in str(caught.value)


def test_a_measure_that_writes_into_its_input_changes_no_other() -> None:
    @measure()
    def vandal(scored: Scored) -> float:
        scored.logits.zero_()
        scored.labels.zero_()
        return 1.0

    @measure()
    def reads(scored: Scored) -> float:
        return float(scored.logits.sum())

    given = scored(logits_of([1, 1], 2), [1, 1])
    found = measured(given, [vandal, reads])
    assert (found["vandal"], found["reads"], found["top1"]) == (1.0, 20.0, 100.0)


MINE = """\
from harness.measure import measure

@measure(unit="nats", higher_is_better=False)
def nll(scored):
    return -scored.logits.log_softmax(-1).gather(1, scored.labels[:, None]).mean()

def broken(scored):
    return 1 / 0

def top1(scored):
    return 0.0
"""


def test_a_suites_own_measures_are_in_records_and_ids(plan_of: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    without, plan = plan_of(ONE_SET), plan_of(ONE_SET + "measures: mine.py:nll\n")
    assert not {cell.id for cell in plan.cells} & {cell.id for cell in without.cells}
    serial, ray = Run(plan, tmp_path / "serial"), Run(plan, tmp_path / "ray", "ray")
    assert numbers(serial.contents.records) == numbers(ray.contents.records)
    for record in serial.contents.records.values():
        assert record.metrics is not None and 0 < record.metrics["nll"] < 10
        assert all("nll" in kept.metrics for kept in record.retention.values() if kept)
    frame = cell_frame(plan.cells, serial.contents.records)
    assert frame["measure_nll"].between(0, 10).all()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nll", 'measures[0]: unknown measure "nll"'),
        ("mine.py:nl", 'does not define "nl" (did you mean "nll"?)'),
        ("mine.py:top1", 'every record carries a measure "top1" already'),
        ("top1", 'every record carries a measure "top1" already'),
        ("[mine.py:nll, other.py:nll]", 'measures[1]: two measures are called "nll"'),
    ],
)
def test_a_wrong_measure_is_named_with_its_line(
    plan_of: MakePlan, tmp_path: Path, word: str, message: str
) -> None:
    for name in ("mine.py", "other.py"):
        (tmp_path / name).write_text(MINE)
    text = ONE_SET + f"measures: {word}\n"
    with pytest.raises(HarnessError) as error:
        plan_of(text)
    assert str(error.value).startswith(f"{tmp_path}/small.yaml:{len(text.splitlines())}: ")
    assert message in str(error.value)


def test_a_measure_that_fails_is_named_in_the_cells_failure(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    run = Run(plan_of(ONE_SET + "measures: mine.py:broken\n"), tmp_path / "r")
    for record in run.contents.failures.values():
        assert record.failure is not None
        assert record.failure.message == 'measure "broken": ZeroDivisionError: division by zero'
    assert run.result.failed == 2
