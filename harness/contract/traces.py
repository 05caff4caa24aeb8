"""Checks that a fit leaves no trace: in shared tensors, global randomness or the backbone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.backbones.fingerprint import fingerprint_of
from harness.contract.subject import Skip, Subject, expect
from harness.contract.toy import OTHER, MemorySupport, Planted, WatchedBatch, WatchedSupport


class Interrupted(Exception):
    """Raised in the middle of a fit, to see what it leaves behind."""


def shared_tensors(subject: Subject) -> None:
    task = Planted(subject.backbone).task(support=WatchedSupport)
    assert isinstance(task.support, WatchedSupport)
    text = ("task.text_features", task.text_features, task.text_features.clone())
    classifier = subject.fit_on(task, subject.brief)
    untouched([text, *task.support.shared], "fit")
    batch = WatchedBatch(subject.probe.images, subject.probe.features)
    with torch.no_grad():
        classifier.logits(batch)
    untouched([text, *task.support.shared, *batch.shared], "logits")
    with torch.no_grad():
        classifier.rebind(OTHER)
    untouched([text, *task.support.shared], "rebind")


def untouched(watched: Sequence[tuple[str, Tensor, Tensor]], where: str) -> None:
    """Each tensor still equals the copy made of it, and no gradient was asked of it."""
    for name, now, before in watched:
        mend = f"what a method is handed is read only; work on a copy: {name}.clone()"
        same = now.shape == before.shape and torch.equal(now, before)
        expect(same, f"{where} wrote into {name}; {mend}")
        expect(not now.requires_grad, f"{where} left {name} requiring gradients; {mend}")


def determinism(subject: Subject) -> None:
    before = _global_randomness()
    first = subject.logits(subject.fit(subject.brief))
    expect(
        before == _global_randomness(),
        "the global random state moved: draw from task.generator only (pass generator=…)",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        second = subject.logits(subject.fit(subject.brief))
    expect(
        bool((first == second).all()),
        "two fits from the same seed differ: draw everything, dropout too, from task.generator",
    )


def _global_randomness() -> tuple[bytes, object, object]:
    numpy_state = np.random.get_state(legacy=True)  # type: ignore[no-untyped-call,unused-ignore]
    return bytes(torch.get_rng_state().numpy()), random.getstate(), repr(numpy_state)


def backbone_after_fit(subject: Subject) -> None:
    before = snapshot(subject.backbone)
    classifier = subject.fit(subject.brief)
    classifier.logits(subject.probe)
    classifier.rebind(OTHER)
    unchanged(before, snapshot(subject.backbone), "a fit")


def backbone_after_exception(subject: Subject) -> None:
    def interrupt(step: int, steps: int) -> None:
        raise Interrupted

    before = snapshot(subject.backbone)
    reached = False
    for how in ({"progress": interrupt}, {"support": BrokenSupport}):
        try:
            subject.fit(subject.brief, **how)
        except Interrupted:
            reached = True
        unchanged(before, snapshot(subject.backbone), "an exception in the middle of a fit")
    if not reached:
        raise Skip("fit neither calls task.progress nor reads the support set")


class BrokenSupport(MemorySupport):
    """Fails as soon as images or features are read."""

    def plain(self, indices: Tensor) -> Tensor:
        raise Interrupted

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        raise Interrupted


def snapshot(backbone: Backbone) -> dict[str, object]:
    """Everything about a backbone that a method must leave as it was."""
    model = backbone.model
    modules = dict(model.named_modules())
    return {
        "the modules": {name: id(module) for name, module in modules.items()},
        "the weights' bytes": fingerprint_of(model),
        "requires_grad of its parameters": [p.requires_grad for p in model.parameters()],
        "gradients left on its parameters": [p.grad is None for p in model.parameters()],
        "training mode": [module.training for module in modules.values()],
        "hooks": [
            [len(v) for k, v in sorted(vars(m).items()) if k.endswith("hooks") and v is not None]
            for m in modules.values()
        ],
        "replaced forward methods": ["forward" in vars(m) for m in modules.values()],
    }


def unchanged(before: Mapping[str, object], after: Mapping[str, object], what: str) -> None:
    for part, value in before.items():
        expect(
            after[part] == value,
            f"the backbone is not what it was after {what}: {part} changed; use "
            "`with backbone.inject(…)` and leave its tensors alone",
        )
