"""Checks of what is learnt: nothing in zero steps, a planted signal, nothing of the test set."""

from __future__ import annotations

import torch

from harness.contract.subject import LEARNT, TOLERANCE, Skip, Subject, expect
from harness.contract.toy import Planted


def zero_steps(subject: Subject) -> None:
    logits = subject.logits(subject.fit(subject.identity))
    gap = float((logits - subject.frozen(Planted(subject.backbone).classes)).abs().max())
    expect(
        gap <= TOLERANCE,
        f"with {subject.identity} logits differ from the frozen model's by {gap:.3g}: start from "
        "it, or declare the overrides under which the method is it as Config.identity",
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
