"""Measures against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from harness.run.measures import calibration_error, measure, measure_retention, per_class_mean


def logits_of(predictions: list[int], classes: int) -> torch.Tensor:
    return 10.0 * torch.nn.functional.one_hot(torch.tensor(predictions), classes).float()


def test_top1_per_class_mean_gain_and_flips() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    adapted = logits_of([0, 0, 1, 1], 3)  # right right wrong right
    frozen = logits_of([0, 2, 0, 0], 3)  # right wrong right wrong
    found = measure(adapted, frozen, labels)
    assert found.top1 == 75.0
    assert found.zero_shot_top1 == 50.0
    assert found.gain == 25.0
    assert found.per_class_mean == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert (found.lost, found.won) == (1, 2)


def test_a_class_without_test_images_does_not_enter_the_per_class_mean() -> None:
    predictions, labels = torch.tensor([2, 2]), torch.tensor([2, 2])
    assert per_class_mean(predictions, labels) == 100.0


def test_calibration_error_by_hand() -> None:
    # Two images of two classes, confidence .6 each; one right, one wrong: |.5 − .6| = 10 points.
    logits = torch.tensor([[math.log(0.6), math.log(0.4)]] * 2)
    assert calibration_error(logits, torch.tensor([0, 1])) == pytest.approx(10.0, abs=1e-4)
    # Different bins do not cancel: confidence .6 wrong, confidence .9 right → (60 + 10) / 2.
    logits = torch.tensor([[0.6, 0.4], [0.9, 0.1]]).log()
    assert calibration_error(logits, torch.tensor([1, 0])) == pytest.approx(35.0, abs=1e-4)


def test_certain_and_right_is_perfectly_calibrated() -> None:
    assert calibration_error(torch.tensor([[1000.0, 0.0]]), torch.tensor([0])) == 0.0


def test_an_unchanged_model_has_forgotten_exactly_nothing() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 7
    assert measure_retention(logits, logits.clone(), labels).change == 0.0
