"""How hyper-parameters are chosen, on what a protocol grants (see `harness.protocols`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from pydantic import TypeAdapter

from harness.canonical import canonical
from harness.features.encode import BATCH
from harness.protocols import LabelAccess
from harness.run.evaluation import Evaluation
from harness.run.measures import accuracy
from harness.run.support import LazyBatch
from harness.store.record import Trial
from harness.task import Classifier, Method, Support, Task, candidates


@dataclass(frozen=True)
class Choice:
    """The configuration to be fitted, and how it was found."""

    config: Any
    trials: list[Trial] = field(default_factory=list)
    seconds: float = 0.0


Evaluator = Callable[[list[dict[str, Any]]], list[float]]
"""From candidate configurations, as JSON values, to their accuracies in percent."""


def choose(
    method: type[Method],
    config: Any,
    space: Mapping[str, Sequence[Any]] | None,
    access: LabelAccess,
    task: Callable[[], Task],
    test: Evaluation,
    parallel: Evaluator | None = None,
) -> Choice:
    """The configuration that a method gets under a protocol.

    Args:
        space: candidate values that replace the method's own search space, or None.
        task: makes the task afresh, so that every candidate trains from the same seed.
        test: read where the protocol chooses on it, and only there.
        parallel: evaluates the whole grid at once, ahead of the method's search; by default
            candidates are evaluated here, as the search asks for them.
    """
    values = method.search_space if space is None else space
    on = access.search_on
    if on is None or not values:
        return Choice(config)
    trials: list[Trial] = []
    known: dict[str, float] = {}
    start = time.perf_counter()
    if parallel is not None:
        grid = [plain(candidate) for candidate in candidates(config, values)]
        known = dict(zip(map(canonical, grid), parallel(grid), strict=True))

    def evaluate(candidate: Any) -> float:
        key = canonical(plain(candidate))
        if key not in known:
            known[key] = accuracy_of(method, candidate, access, task(), test)
        trials.append({"config": plain(candidate), "top1": known[key], "on": on})
        return known[key]

    best = method(config).search(evaluate, values)
    return Choice(best, trials, time.perf_counter() - start)


def accuracy_of(
    method: type[Method], candidate: Any, access: LabelAccess, task: Task, test: Evaluation
) -> float:
    """Top-1 in percent of one candidate, on what the protocol chooses by.

    A candidate whose training diverges has 0: it must not end the search for the others.
    """
    try:
        classifier = method(candidate).fit(task)
    except FloatingPointError:
        return 0.0
    if access.search_on == "test":
        return accuracy(test.logits(classifier).argmax(-1), test.labels)
    assert task.val is not None
    return accuracy_on(classifier, task.val)


@torch.no_grad()
def accuracy_on(classifier: Classifier, val: Support) -> float:
    """Top-1 in percent on a validation set, `BATCH` images at a time."""
    features = val.features
    guesses = []
    for some in torch.split(torch.arange(len(val)), BATCH):
        batch = LazyBatch(len(some), partial(val.plain, some), partial(features.__getitem__, some))
        guesses.append(classifier.logits(batch).argmax(-1).cpu())
    return accuracy(torch.cat(guesses), val.labels.cpu())


def plain(config: Any) -> dict[str, Any]:
    """A Config as JSON values."""
    values = TypeAdapter(type(config)).dump_python(config, mode="json")
    assert isinstance(values, dict)
    return values
