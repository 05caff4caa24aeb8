"""Checks on other tasks: one shot, few classes, classes without an image, other class names."""

from __future__ import annotations

import torch

from harness.contract.form import well_formed
from harness.contract.subject import TOLERANCE, Broken, Skip, Subject, expect
from harness.contract.toy import OTHER, Planted


def one_shot(subject: Subject) -> None:
    data = Planted(subject.backbone, shots=1)
    logits = subject.logits(subject.fit(subject.brief, data))
    well_formed(logits, (len(subject.probe), len(data.classes)))


def two_classes(subject: Subject) -> None:
    logits = subject.logits(subject.fit(subject.brief, Planted(subject.backbone, classes=2)))
    well_formed(logits, (len(subject.probe), 2))


def single_class(subject: Subject) -> None:
    data = Planted(subject.backbone)
    logits = subject.logits(subject.fit(subject.brief, data, only=1))
    empty = (
        "all support images are of class 1, and the mean over the images of any other class is a "
        "mean of nothing; divide sums by counts.clamp(min=1), or fall back on task.text_features "
        "where the count is 0"
    )
    well_formed(logits, (len(subject.probe), len(data.classes)), empty)


def transfer(subject: Subject) -> None:
    before, promise = subject.logits(subject.fitted), subject.method.transfer
    rebound = subject.fitted.rebind(OTHER)
    if promise == "none":
        expect(
            rebound is None,
            'rebind gives a classifier, but transfer = "none": declare transfer = "kept"',
        )
        raise Skip('not transferable: transfer = "none"')
    if rebound is None:
        raise Broken('transfer = "kept", but rebind gives None: write it, or declare "none"')
    well_formed(subject.logits(rebound), (len(subject.probe), len(OTHER)))
    expect(torch.equal(before, subject.logits(subject.fitted)), "rebind changed the original")
    if subject.method.zero_steps != "exact" or not subject.has_identity:
        return
    untrained = subject.fit(subject.identity).rebind(OTHER)
    if untrained is not None:
        gap = float((subject.logits(untrained) - subject.frozen(OTHER)).abs().max())
        expect(
            gap <= TOLERANCE,
            f"untrained and under other names, logits differ from the frozen model's by {gap:.3g}",
        )
