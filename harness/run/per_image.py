"""Which images and classes were won and lost: rows of what was scored, for tables and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from harness.measure import Scored
from harness.run.kept import Kept

TOP = 5
"""Classes whose probability a row of an image names."""

Row = dict[str, Any]


def image_rows(kept: Kept) -> Iterator[Row]:
    """One row per image: path, label, predicted and zero-shot class, outcome, probabilities.

    The outcome is `kept` (right before and after), `won`, `lost` or `wrong`; without a frozen
    classifier `right` or `wrong`. `top_5` names the likeliest classes as `class=probability`.
    """
    scored, names = kept.scored, kept.scored.classes
    likely, classes = scored.logits.double().softmax(-1).topk(min(TOP, len(names)))
    of_label = _of_label(scored.logits, scored.labels)
    frozen, before = scored.frozen_predictions, None
    if scored.frozen_logits is not None:
        before = _of_label(scored.frozen_logits, scored.labels)
    outcomes = _outcomes(scored)
    for i, path in enumerate(kept.paths):
        top = zip(classes[i].tolist(), likely[i].tolist(), strict=True)
        yield {
            "path": path,
            "label": names[int(scored.labels[i])],
            "predicted": names[int(scored.predictions[i])],
            "zero_shot": "" if frozen is None else names[int(frozen[i])],
            "outcome": outcomes[i],
            "p_predicted": _rounded(likely[i, 0]),
            "p_label": _rounded(of_label[i]),
            "zero_shot_p_label": "" if before is None else _rounded(before[i]),
            f"top_{TOP}": "; ".join(f"{names[c]}={p:.4f}" for c, p in top),
        }


def class_rows(kept: Kept) -> Iterator[Row]:
    """One row per class: support and test images, accuracies in percent, images won and lost.

    A class without test images has no accuracy.
    """
    scored = kept.scored
    compared = scored.frozen_logits is not None
    found = [Counter[str]() for _ in scored.classes]
    for label, outcome in zip(scored.labels.tolist(), _outcomes(scored), strict=True):
        found[label][outcome] += 1
    for name, support, outcomes in zip(
        scored.classes, scored.support_counts.tolist(), found, strict=True
    ):
        yield {
            "class": name,
            "support": support,
            "images": outcomes.total(),
            "top1": _percent(outcomes, "kept", "won", "right"),
            "zero_shot_top1": _percent(outcomes, "kept", "lost") if compared else "",
            "won": outcomes["won"] if compared else "",
            "lost": outcomes["lost"] if compared else "",
        }


def _outcomes(scored: Scored) -> list[str]:
    after = (scored.predictions == scored.labels).tolist()
    if scored.frozen_predictions is None:
        return ["right" if right else "wrong" for right in after]
    before = (scored.frozen_predictions == scored.labels).tolist()
    words = {(True, True): "kept", (False, True): "won", (True, False): "lost"}
    return [words.get(pair, "wrong") for pair in zip(before, after, strict=True)]


def _of_label(logits: Tensor, labels: Tensor) -> Tensor:
    """(n,) probability of each image's own class."""
    return logits.double().softmax(-1).gather(1, labels[:, None])[:, 0]


def _percent(outcomes: Counter[str], *right: str) -> str:
    images = outcomes.total()
    return f"{100 * sum(outcomes[name] for name in right) / images:.2f}" if images else ""


def _rounded(probability: Tensor) -> str:
    return f"{float(probability):.4f}"
