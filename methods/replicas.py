"""Replicas of a feature method, trained as one batched computation.

A head's step is small: most of its time goes into starting operations, not into arithmetic. R
replicas stacked along a leading dimension start the same operations once. Losses are summed over
replicas, so that each one's gradient is its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from harness.task import Classifier, Task
from methods.heads import drawn_views, feature_batches
from methods.optim import diverged, minibatches

if TYPE_CHECKING:
    from methods.feature_method import FeatureMethod, Training

Replica = tuple["FeatureMethod", Task]
CACHED = 2**18
"""Trained numbers of a pack on a CPU, at most. With gradients and momenta about 3 MiB, a core's
share of the cache; beyond it replicas wait for memory and are faster one by one."""


@dataclass(frozen=True)
class Group:
    """Replicas of equal configuration: they share an optimiser and its learning rate."""

    members: list[int]
    tensors: dict[str, Tensor]
    """(members, …) each."""
    optimizer: Optimizer
    rate: Callable[[int], float]


def train_together(replicas: Sequence[Replica]) -> list[Classifier | FloatingPointError]:
    """Every replica's classifier, equal to its own `fit` but for float rounding.

    Args:
        replicas: methods of one class, whose configurations differ in its `packs` alone, and tasks
            of one data set and as many support images.

    Returns:
        In the same order; the error in place of one whose loss is not finite.
    """
    method, task = replicas[0]
    most = len(replicas)
    if task.device.type == "cpu":
        each = sum(tensor.numel() for tensor in method.start(_twin(task)).values())
        most = max(1, CACHED // max(1, each))
    parts = [replicas[i : i + most] for i in range(0, len(replicas), most)]
    return [fitted for part in parts for fitted in _train(part)]


def _twin(task: Task) -> Task:
    """The task with a generator of its own, so that looking at it draws nothing."""
    return replace(task, generator=torch.Generator().manual_seed(0))


def _train(replicas: Sequence[Replica]) -> list[Classifier | FloatingPointError]:
    method, task = replicas[0]
    if len(replicas) == 1:
        try:
            return [method.fit(task)]
        except FloatingPointError as error:
            return [error]
    groups = _groups(replicas)
    order = [member for group in groups for member in group.members]
    sorted_replicas = [replicas[member] for member in order]
    parts = [replica.constants(own) for replica, own in sorted_replicas]
    constants = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    scores, how = method.scorer(task), method.training(task)
    tasks = [own for _, own in sorted_replicas]
    first = last = torch.empty(0)
    for step, (features, labels) in enumerate(_batches(tasks, how)):
        tensors = {
            name: torch.cat([group.tensors[name] for group in groups]) for name in groups[0].tensors
        }
        logits = scores({**constants, **tensors}, features)
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = each.view(len(tasks), -1).mean(1)
        for group in groups:
            group.optimizer.zero_grad()
            for settings in group.optimizer.param_groups:
                settings["lr"] = group.rate(step)
        torch.autograd.backward(losses.sum())
        for group in groups:
            group.optimizer.step()
        last = losses.detach()
        first = last if step == 0 else first
        for own in tasks:
            own.progress(step + 1, how.steps)
    measured = [
        {"first_loss": a, "last_loss": b}
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
    ] or [{} for _ in replicas]
    fitted: list[Any] = [None] * len(replicas)
    trained = (
        {name: t[row].detach().clone() for name, t in group.tensors.items()}
        for group in groups
        for row in range(len(group.members))
    )
    for member, state, numbers in zip(order, trained, measured, strict=True):
        replica, own = replicas[member]
        if math.isfinite(numbers.get("last_loss", 0.0)):
            fitted[member] = replica.classifier(own, state, numbers)
        else:
            fitted[member] = diverged(numbers["last_loss"], how.steps, replica.config.lr)
    return fitted


def _groups(replicas: Sequence[Replica]) -> list[Group]:
    alike: dict[Any, list[int]] = {}
    for number, (method, _) in enumerate(replicas):
        alike.setdefault(method.config, []).append(number)
    groups = []
    for members in alike.values():
        starts = [replicas[member][0].start(replicas[member][1]) for member in members]
        tensors = {
            name: torch.stack([start[name] for start in starts]).requires_grad_()
            for name in starts[0]
        }
        method, task = replicas[members[0]]
        optimizer = method.optimizer(list(tensors.values()))
        groups.append(Group(members, tensors, optimizer, method.training(task).rate))
    return groups


def _batches(tasks: Sequence[Task], how: Training) -> Iterator[tuple[Tensor, Tensor]]:
    """Per step (R, B, d) features and (R, B) labels: each replica's own, as `fit` would see."""
    if not how.views or not how.steps:
        each = [
            feature_batches(task, how.views, how.batch, how.steps, how.drop_last) for task in tasks
        ]
        for parts in zip(*each, strict=True):
            yield torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])
        return
    banks, which = _banks(tasks, how.views)
    labels = torch.stack([task.support.labels for task in tasks])
    drawn = []
    for task in tasks:
        order = minibatches(len(task.support), how.batch, how.steps, task.generator, how.drop_last)
        drawn.append(drawn_views(list(order), how.views, task.generator))
    rows = torch.arange(len(tasks), device=labels.device)[:, None]
    for parts in zip(*drawn, strict=True):
        view, chosen = (torch.stack(part).to(labels.device) for part in zip(*parts, strict=True))
        yield banks[which, view, chosen], labels[rows, chosen]


def _banks(tasks: Sequence[Task], views: int) -> tuple[Tensor, Tensor]:
    """The distinct draws' cached views (D, V, N, d), and (R, 1) which of them a replica has."""
    banks: list[Tensor] = []
    which = []
    for task in tasks:
        bank = task.support.views(views).to(task.device)
        same = [number for number, known in enumerate(banks) if torch.equal(known, bank)]
        which.append(same[0] if same else len(banks))
        banks += [] if same else [bank]
    return torch.stack(banks), torch.tensor(which, device=tasks[0].device)[:, None]
