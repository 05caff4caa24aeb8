"""Who may see which labels, and how hyper-parameters are chosen.

fixed       the configuration of the suite; the method sees the support set only.
val_search  chosen by accuracy on the few-shot validation set, min(K, 4) images per class.
oracle      chosen by accuracy on the *test* set: an upper bound, flagged wherever it appears and
            never ranked. It exists to show what published numbers gain by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import TypeAdapter

from harness.evaluation import Evaluation
from harness.metrics import top1
from harness.support import LazyBatch
from harness.task import Classifier, Method, Support, Task


@dataclass(frozen=True)
class Choice:
    """The configuration to be fitted, and how it was found."""

    config: Any
    trials: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def choose(
    method: type[Method],
    config: Any,
    space: Mapping[str, Sequence[Any]] | None,
    protocol: str,
    task: Callable[[], Task],
    test: Evaluation,
) -> Choice:
    """The configuration that the protocol grants a method.

    Args:
        space: candidate values that replace the method's own search space, or None.
        task: makes the task afresh, so that every candidate trains from the same seed.
        test: read under `oracle` only.
    """
    values = method.search_space if space is None else space
    if protocol == "fixed" or not values:
        return Choice(config)
    trials: list[dict[str, Any]] = []
    start = time.perf_counter()

    def evaluate(candidate: Any) -> float:
        current = task()
        classifier = method(candidate).fit(current)
        if protocol == "oracle":
            accuracy, on = top1(test.logits(classifier).argmax(-1), test.labels), "test"
        else:
            assert current.val is not None
            accuracy, on = accuracy_on(classifier, current.val), "val"
        trials.append({"config": plain(candidate), "top1": accuracy, "on": on})
        return accuracy

    best = method(config).search(evaluate, values)
    return Choice(best, trials, time.perf_counter() - start)


@torch.no_grad()
def accuracy_on(classifier: Classifier, val: Support) -> float:
    """Top-1 in percent on a few-shot validation set."""
    batch = LazyBatch(len(val), lambda: val.plain(torch.arange(len(val))), lambda: val.features)
    return top1(classifier.logits(batch).argmax(-1).cpu(), val.labels.cpu())


def plain(config: Any) -> dict[str, Any]:
    """A Config as JSON values."""
    values = TypeAdapter(type(config)).dump_python(config, mode="json")
    assert isinstance(values, dict)
    return values
