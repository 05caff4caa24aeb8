"""The measures that every record carries: accuracy, calibration, and what adaptation changed.

Methods never compute any of them. A third party's are found by `harness.plan.measures`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.measure import Measure, Scored, measure

BINS = 15


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Share of correct predictions in percent; both (n,)."""
    return 100.0 * (predictions == labels).double().mean().item()


@measure(unit="images", higher_is_better=None)
def images(scored: Scored) -> int:
    """How many images were scored."""
    return len(scored.labels)


@measure()
def top1(scored: Scored) -> float:
    """Accuracy: images whose largest logit is their label's."""
    return accuracy(scored.predictions, scored.labels)


@measure()
def per_class_mean(scored: Scored) -> float:
    """Mean of each class's accuracy, over the classes that have test images."""
    right = (scored.predictions == scored.labels).double()
    count = torch.bincount(scored.labels).double()
    hits = torch.bincount(scored.labels, weights=right)
    return 100.0 * (hits[count > 0] / count[count > 0]).mean().item()


@measure(higher_is_better=False)
def ece(scored: Scored) -> float:
    """Expected calibration error of softmax(logits), 15 equal-width bins.

    Σ_b n_b/n · |accuracy_b − confidence_b| (Guo et al., ICML 2017, equation 3).
    """
    confidence, predictions = scored.logits.double().softmax(-1).max(-1)
    right = (predictions == scored.labels).double()
    # Bins are (low, high], as in the paper, so that a confidence of exactly 1 is in the last.
    bins = torch.ceil(confidence * BINS).long()
    gaps = torch.bincount(bins, weights=right - confidence)
    return 100.0 * gaps.abs().sum().item() / len(scored.labels)


@measure()
def zero_shot_top1(scored: Scored) -> float | None:
    """Accuracy of the frozen model on the same images, under the same templates."""
    frozen = scored.frozen_predictions
    return None if frozen is None else accuracy(frozen, scored.labels)


@measure()
def gain(scored: Scored) -> float | None:
    """top1 − zero_shot_top1; on a retention set negative where the model has forgotten."""
    frozen = scored.frozen_predictions
    if frozen is None:
        return None
    return accuracy(scored.predictions, scored.labels) - accuracy(frozen, scored.labels)


@measure(unit="images", higher_is_better=False)
def lost(scored: Scored) -> int | None:
    """Images right under zero-shot and wrong after adaptation."""
    frozen = scored.frozen_predictions
    if frozen is None:
        return None
    return int(((frozen == scored.labels) & (scored.predictions != scored.labels)).sum())


@measure(unit="images")
def won(scored: Scored) -> int | None:
    """Images wrong under zero-shot and right after adaptation."""
    frozen = scored.frozen_predictions
    if frozen is None:
        return None
    return int(((frozen != scored.labels) & (scored.predictions == scored.labels)).sum())


STANDARD = (images, top1, per_class_mean, ece, zero_shot_top1, gain, lost, won)


def measured(scored: Scored, others: Sequence[Measure] = ()) -> dict[str, float]:
    """The standard measures and `others` by name, without those that have no meaning here.

    Raises:
        MeasureError: a measure failed, or did not return a finite number or None.
    """
    found = {one.name: one(scored) for one in STANDARD}
    # A copy: a measure may write into what it is given.
    found |= {one.name: one(scored.copy()) for one in others}
    return {name: value for name, value in found.items() if value is not None}
