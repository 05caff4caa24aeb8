"""The checks of `harness.contract`: each takes a `Subject` and raises where something is wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from harness.backbones import Backbone
from harness.backbones.backbone import fingerprint_of
from harness.planted import (
    OTHER,
    MemorySupport,
    Planted,
    WatchedBatch,
    WatchedSupport,
    as_batch,
    probe,
)
from harness.task import Classes, Classifier, Method, Task, candidates, zero_shot_logits

TOLERANCE = 1e-3
"""Largest difference of two logits that count as equal where rounding may differ."""

LEARNT = 50.0
"""Accuracy in percent on six planted classes that counts as having learnt; chance is 16.7."""


class Broken(Exception):
    """The contract does not hold, for the stated reason."""


class Skip(Exception):
    """A check does not apply, for the stated reason."""


class Interrupted(Exception):
    """Raised in the middle of a fit, to see what it leaves behind."""


def expect(holds: bool, message: str) -> None:
    """Raise `Broken` unless `holds`."""
    if not holds:
        raise Broken(message)


class Subject:
    """A method under test: its configurations, and a fit that several checks share."""

    def __init__(self, method: type[Method], backbone: Backbone) -> None:
        self.method, self.backbone = method, backbone
        self.probe = probe(backbone)

    def config(self, **overrides: Any) -> Any:
        """The Config's defaults with `overrides`, as far as it has such fields."""
        known = {field.name for field in fields(self.method.Config)}
        return replace(self.method.Config(), **{k: v for k, v in overrides.items() if k in known})

    @property
    def learning(self) -> Any:
        """Enough training to learn the planted signal."""
        return self.config(**{"steps": 50, **getattr(self.method.Config, "quick", {})})

    @property
    def brief(self) -> Any:
        """The defaults for two steps or one epoch: enough wherever only the form matters."""
        return self.config(epochs=1, steps=2)

    @property
    def identity(self) -> Any:
        """The configuration that is the frozen model.

        Raises:
            Skip: the Config declares none and has no length to set to zero.
        """
        declared: Mapping[str, Any] | None = getattr(self.method.Config, "identity", None)
        known = [field.name for field in fields(self.method.Config)]
        if declared is None:
            declared = next(({name: 0} for name in known if name in ("steps", "epochs")), None)
        if declared is None:
            raise Skip("Config has neither steps nor epochs, and declares no `identity`")
        return self.config(**declared)

    def fit(self, config: Any, data: Planted | None = None, **how: Any) -> Classifier:
        """A classifier fitted on the planted task."""
        return self.fit_on((data or Planted(self.backbone)).task(**how), config)

    def fit_on(self, task: Task, config: Any) -> Classifier:
        """A classifier fitted on `task`."""
        found = self.method(config).fit(task)
        kind = type(found).__name__
        expect(isinstance(found, Classifier), f"fit returned {kind}, expected a Classifier")
        return found

    @cached_property
    def fitted(self) -> Classifier:
        """A brief fit."""
        return self.fit(self.brief)

    @torch.no_grad()
    def logits(self, classifier: Classifier) -> Tensor:
        """Logits of the probe images."""
        logits = classifier.logits(self.probe)
        kind = type(logits).__name__
        expect(isinstance(logits, Tensor), f"logits returned {kind}, expected a torch tensor")
        return logits.cpu()

    @torch.no_grad()
    def frozen(self, classes: Classes) -> Tensor:
        """The frozen model's logits of the probe images."""
        text = self.backbone.text_features(classes)
        return zero_shot_logits(self.probe.features, text, self.backbone.logit_scale).cpu()


def declaration(subject: Subject) -> None:
    method: Any = subject.method
    is_method = isinstance(method, type) and issubclass(method, Method)
    expect(is_method, f"{method!r} is not a class derived from harness.task.Method")
    name = getattr(method, "name", None)
    expect(isinstance(name, str) and bool(name), 'no name: write name = "my_method" in the class')
    config: Any = getattr(method, "Config", None)
    expect(isinstance(config, type) and is_dataclass(config), "no Config: write a frozen dataclass")
    frozen = config.__dataclass_params__.frozen
    expect(frozen, "Config can be changed after creation: write @dataclass(frozen=True)")
    try:
        default = config()
    except Exception as error:
        raise Broken(f"Config() fails ({error}): give every field its paper's default") from None
    adapter = TypeAdapter(config)
    values = adapter.dump_python(default, mode="json")
    again = adapter.validate_python(values)
    expect(again == default, f"Config does not survive JSON: {values} reads back as {again}")
    for wrong in set(method.search_space) - {field.name for field in fields(config)}:
        raise Broken(f'search_space names "{wrong}", which Config does not have')
    try:
        for candidate in candidates(default, method.search_space):
            adapter.validate_python(adapter.dump_python(candidate))
    except ValueError as error:
        raise Broken(f"search_space holds a value that Config refuses: {error}") from None


def shapes(subject: Subject) -> None:
    logits = subject.logits(subject.fitted)
    well_formed(logits, (len(subject.probe), len(Planted(subject.backbone).classes)))
    with torch.no_grad():
        first = subject.fitted.logits(as_batch(subject.probe.images[:1], subject.backbone)).cpu()
    well_formed(first, (1, logits.shape[1]))
    same = torch.allclose(first, logits[:1], atol=TOLERANCE)
    expect(same, "the logits of an image depend on the other images of its batch")


def well_formed(logits: Tensor, shape: tuple[int, int], empty: str = "") -> None:
    """Shape, type and finiteness; `empty` explains NaN where classes have no support image."""
    found = tuple(logits.shape)
    expect(
        found == shape,
        f"logits have shape {found}, expected {shape}: one row per image of the batch, one column "
        "per name in task.classes (also where a class has no support image)",
    )
    expect(logits.is_floating_point(), f"logits are {logits.dtype}, expected floating point")
    finite = logits.isfinite()
    columns = [column for column in range(shape[1]) if not finite[:, column].all()]
    where = f"{len(columns)} of {shape[1]} classes (labels {columns})"
    why = empty or "look for a division by zero or the logarithm of a number that is not positive"
    expect(not columns, f"logits hold NaN or infinity for {where}: {why}")


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


def report(subject: Subject) -> None:
    classifier = subject.fitted
    count = classifier.trainable
    whole = isinstance(count, int) and count >= 0
    expect(whole, f"trainable = {count!r}, expected how many numbers were trained, an int")
    for name, value in classifier.details().items():
        finite = isinstance(value, int | float) and math.isfinite(value)
        expect(finite, f'details()["{name}"] = {value!r}, expected a finite number')


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


def zero_steps(subject: Subject) -> None:
    logits = subject.logits(subject.fit(subject.identity))
    gap = float((logits - subject.frozen(Planted(subject.backbone).classes)).abs().max())
    expect(
        gap <= TOLERANCE,
        f"with {subject.identity} logits differ from the frozen model's by {gap:.3g}: start from "
        "it, or declare the overrides under which the method is it as Config.identity",
    )


def save_and_load(subject: Subject) -> None:
    state = subject.fitted.state()
    for name, value in state.items():
        expect(isinstance(value, Tensor), f'state()["{name}"] is no tensor: {type(value).__name__}')
        expect(not value.requires_grad, f'state()["{name}"] requires gradients: detach it')
    if subject.method.restore is Method.restore:
        raise Skip("restore(task, state) is not written; optional, nothing in a run needs it")
    copied = {name: value.cpu().clone() for name, value in state.items()}
    task = Planted(subject.backbone).task(seed=99)
    restored = subject.method(subject.brief).restore(task, copied)
    same = torch.equal(subject.logits(restored), subject.logits(subject.fitted))
    expect(same, "restored logits differ from the saved ones: keep all that was learnt in state()")
    counts = restored.trainable, subject.fitted.trainable
    expect(counts[0] == counts[1], f"restored trainable = {counts[0]}, was {counts[1]}")


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
    before = subject.logits(subject.fitted)
    rebound = subject.fitted.rebind(OTHER)
    if rebound is None:
        raise Skip("not transferable: rebind returns None")
    well_formed(subject.logits(rebound), (len(subject.probe), len(OTHER)))
    expect(torch.equal(before, subject.logits(subject.fitted)), "rebind changed the original")
    with suppress(Skip):
        untrained = subject.fit(subject.identity).rebind(OTHER)
        assert untrained is not None
        gap = float((subject.logits(untrained) - subject.frozen(OTHER)).abs().max())
        expect(
            gap <= TOLERANCE,
            f"untrained and under other names, logits differ from the frozen model's by {gap:.3g}",
        )


def learning(subject: Subject) -> None:
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
    first, other = (Planted(subject.backbone, test_seed=seed) for seed in (0, 1))
    one, two = (subject.logits(subject.fit(subject.brief, data)) for data in (first, other))
    expect(torch.equal(one, two), "permuting the labels of the test set changed the classifier")


CHECKS: dict[str, Callable[[Subject], None]] = {
    "declares a name, a frozen Config and a search space": declaration,
    "logits have the right shape and are finite": shapes,
    "tensors of the task and the batch are as they were": shared_tensors,
    "trainable and details are numbers": report,
    "same seed, same classifier; global randomness untouched": determinism,
    "backbone unchanged after a fit": backbone_after_fit,
    "backbone unchanged after an exception": backbone_after_exception,
    "zero steps are the frozen model": zero_steps,
    "save and load": save_and_load,
    "one shot": one_shot,
    "two classes": two_classes,
    "a support set of a single class": single_class,
    "transfer to other class names": transfer,
    "learns a planted signal": learning,
    "chance level with shuffled labels": shuffled_labels,
    "test set out of reach": test_set,
}
