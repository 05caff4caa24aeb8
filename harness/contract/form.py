"""Checks of form: what a method declares, and what its classifier gives back."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from harness.contract.subject import TOLERANCE, Broken, Skip, Subject, expect
from harness.contract.toy import Planted, as_batch
from harness.task import Method, Work, candidates
from harness.wording import one_line

PROMISES = {"zero_steps": ("exact", "near", "none"), "transfer": ("kept", "none")}


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
        raise Broken(
            f"Config() fails ({one_line(error)}): give every field its paper's default"
        ) from None
    adapter = TypeAdapter(config)
    values = adapter.dump_python(default, mode="json")
    again = adapter.validate_python(values)
    expect(again == default, f"Config does not survive JSON: {values} reads back as {again}")
    misspelt(method)
    for promise, words in PROMISES.items():
        said = getattr(method, promise)
        expect(said in words, f"{promise} = {said!r}: expected one of {', '.join(words)}")
    for wrong in set(method.search_space) - {field.name for field in fields(config)}:
        raise Broken(f'search_space names "{wrong}", which Config does not have')
    try:
        for candidate in candidates(default, method.search_space):
            adapter.validate_python(adapter.dump_python(candidate))
    except ValueError as error:
        raise Broken(f"search_space holds a value that Config refuses: {one_line(error)}") from None


def misspelt(method: type[Method]) -> None:
    """Nothing that a class adds is nearly called as what its base offers: it would be ignored."""
    for own, base in pairwise(method.__mro__):
        offered = [name for name in dir(base) if not name.startswith("_")]
        for name in vars(own):
            if name.startswith("_") or name in offered or own.__module__.startswith("harness."):
                continue
            for near in get_close_matches(name, offered, n=1, cutoff=0.85):
                raise Broken(
                    f'nothing calls "{name}": did you mean "{near}"? If it is meant as it is, give '
                    "it a name less like that one"
                )


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


def report(subject: Subject) -> None:
    classifier = subject.fitted
    count = classifier.trainable
    whole = isinstance(count, int) and count >= 0
    expect(whole, f"trainable = {count!r}, expected how many numbers were trained, an int")
    for name, value in classifier.details().items():
        finite = isinstance(value, int | float) and math.isfinite(value)
        expect(finite, f'details()["{name}"] = {value!r}, expected a finite number')


def work(subject: Subject) -> None:
    fresh = subject.method(subject.brief)
    found = fresh.work(classes=len(Planted(subject.backbone).classes), images=24, shots=4)
    kind = type(found).__name__
    expect(isinstance(found, Work), f"work returned {kind}, expected a harness.task.Work")


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
