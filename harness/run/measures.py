"""Measures of a classifier's logits, in percent points. Methods never compute any of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.store.record import Metrics, Retention, Rule

BINS = 15


def top1(predictions: Tensor, labels: Tensor) -> float:
    """Share of correct predictions; both (n,)."""
    return 100.0 * (predictions == labels).double().mean().item()


def per_class_mean(predictions: Tensor, labels: Tensor) -> float:
    """Mean over the classes present in `labels` of each class's accuracy; both (n,)."""
    right = (predictions == labels).double()
    count = torch.bincount(labels).double()
    hits = torch.bincount(labels, weights=right)
    return 100.0 * (hits[count > 0] / count[count > 0]).mean().item()


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Expected calibration error of softmax(logits), `BINS` equal-width bins; (n, C) and (n,).

    Σ_b n_b/n · |accuracy_b − confidence_b| (Guo et al., ICML 2017, equation 3).
    """
    confidence, predictions = logits.double().softmax(-1).max(-1)
    right = (predictions == labels).double()
    # Bins are (low, high], as in the paper, so that a confidence of exactly 1 has a bin.
    bins = (torch.ceil(confidence * BINS).long() - 1).clamp(0, BINS - 1)
    gaps = torch.bincount(bins, weights=right - confidence, minlength=BINS)
    return 100.0 * gaps.abs().sum().item() / len(labels)


def measure(logits: Tensor, frozen_logits: Tensor, labels: Tensor) -> Metrics:
    """Compare a classifier with the frozen model on the same images; (n, C), (n, C), (n,).

    `frozen_logits` may be (n, 0): without text features there is nothing to compare with, and
    the four measures that do are None.
    """
    predictions = logits.argmax(-1)
    accuracy, right = top1(predictions, labels), predictions == labels
    alone = Metrics(
        images=len(labels),
        top1=accuracy,
        per_class_mean=per_class_mean(predictions, labels),
        ece=calibration_error(logits, labels),
    )
    if frozen_logits.shape[1] == 0:
        return alone
    frozen = frozen_logits.argmax(-1)
    was_right, zero_shot = frozen == labels, top1(frozen, labels)
    return replace(
        alone,
        zero_shot_top1=zero_shot,
        gain=accuracy - zero_shot,
        lost=int((was_right & ~right).sum()),
        won=int((~was_right & right).sum()),
    )


def measure_retention(
    logits: Tensor, frozen_logits: Tensor, labels: Tensor, rule: Rule = "rebind"
) -> Retention:
    """Accuracy on a retention set after and before adaptation; (n, C), (n, C), (n,)."""
    accuracy, before = top1(logits.argmax(-1), labels), top1(frozen_logits.argmax(-1), labels)
    return Retention(len(labels), accuracy, before, accuracy - before, rule)
