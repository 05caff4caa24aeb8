"""Checks of what is learnt: nothing in zero steps, a planted signal, nothing of the test set."""

from __future__ import annotations

import torch

from harness.contract.subject import LEARNT, TOLERANCE, Skip, Subject, expect
from harness.contract.toy import Planted

NEAR = 0.05
"""Share of the frozen model's largest logit by which an untrained method may be `near` it."""


def zero_steps(subject: Subject) -> None:
    promise = subject.method.zero_steps
    if promise == "none" and not subject.has_identity:
        raise Skip('zero_steps = "none"')
    logits = subject.logits(subject.fit(subject.identity))
    frozen = subject.frozen(Planted(subject.backbone).classes)
    gap = float((logits - frozen).abs().max())
    if promise == "none":
        expect(
            gap > TOLERANCE,
            f'zero_steps = "none", but with {subject.identity} the method is the frozen model: '
            'declare zero_steps = "exact"',
        )
        return
    allowed = TOLERANCE if promise == "exact" else NEAR * float(frozen.abs().max())
    expect(
        gap <= allowed,
        f"with {subject.identity} logits differ from the frozen model's by {gap:.3g}, and "
        f'zero_steps = "{promise}" allows {allowed:.2g}: start from it, declare the overrides '
        'under which the method is it as Config.identity, or declare zero_steps = "none"',
    )


def planted_signal(subject: Subject) -> None:
    if not subject.method.uses_support:
        raise Skip("uses no support set")
    data = Planted(subject.backbone, shots=len(Planted(subject.backbone).classes))
    accuracy = data.accuracy(subject.fit(subject.learning, data))
    expect(
        accuracy >= LEARNT,
        f"{accuracy:.1f} % on an easy six-class task, expected {LEARNT:.0f} % or more; if the "
        "defaults need longer, put a higher rate or more steps into Config.quick",
    )


def shuffled_labels(subject: Subject) -> None:
    if not subject.method.uses_support:
        raise Skip("uses no support set")
    shots = len(Planted(subject.backbone).classes)
    data = Planted(subject.backbone, shots=shots, shuffled=True)
    accuracy = data.accuracy(subject.fit(subject.learning, data))
    expect(
        accuracy < LEARNT,
        f"{accuracy:.1f} % although the training labels say nothing of the images: labels leak",
    )


def test_set(subject: Subject) -> None:
    first, again, other = (Planted(subject.backbone, test_seed=seed) for seed in (0, 0, 1))
    one, same, two = (
        subject.logits(subject.fit(subject.brief, data)) for data in (first, again, other)
    )
    expect(
        torch.equal(one, same),
        "two fits on the same data differ, or are not finite, so nothing can be told: draw random "
        "numbers from task.generator alone",
    )
    expect(torch.equal(one, two), "permuting the labels of the test set changed the classifier")
