"""Replicas of a feature method, trained as one batched computation.

A head's step is small: most of its time goes into starting operations, not into arithmetic. R
replicas stacked along a leading dimension start the same operations once. Losses are summed over
replicas, so that each one's gradient is its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from harness.methods.heads.text import drawn_views, feature_batches
from harness.methods.optim import diverged, minibatches
from harness.task import Classifier, Task

if TYPE_CHECKING:
    from harness.methods.feature_method import FeatureMethod, Training

Replica = tuple["FeatureMethod", Task]
MOST_NUMBERS = 2**20
"""Trained numbers of a pack on a CPU, at most. 24 CLIP-Adapters of CLIP's width, 2¹⁷ numbers each,
take 18 times one in packs of 2, and 13 to 14 times both in packs of 8 and all together: a larger
pack gains nothing, and costs memory."""


@dataclass(frozen=True)
class Group:
    """Replicas of equal configuration: `rows` of the stacked tensors, at one learning rate."""

    rows: slice
    views: dict[str, Tensor]
    """Of these rows; what the optimiser holds."""
    rate: Callable[[int], float]

    def hand_over(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the views their rows of the gradient."""
        for name, view in self.views.items():
            gradient = tensors[name].grad
            view.grad = None if gradient is None else gradient[self.rows]


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
        most = max(1, MOST_NUMBERS // max(1, each))
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
    order = _by_configuration(replicas)
    sorted_replicas = [replicas[number] for number in order]
    starts = [replica.start(own) for replica, own in sorted_replicas]
    tensors = _stacked(starts)
    groups, optimizer = _groups(sorted_replicas, tensors)
    for tensor in tensors.values():
        tensor.requires_grad_()
    constants = _stacked([replica.constants(own) for replica, own in sorted_replicas])
    scores, how = method.scorer(task), method.training(len(task.support), task.shots)
    tasks = [own for _, own in sorted_replicas]
    first = last = torch.empty(0)
    for step, (features, labels) in enumerate(_batches(tasks, how)):
        logits = scores({**constants, **tensors}, features)
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = each.view(len(tasks), -1).mean(1)
        torch.autograd.backward(losses.sum())
        for group, settings in zip(groups, optimizer.param_groups, strict=True):
            group.hand_over(tensors)
            settings["lr"] = group.rate(step)
        optimizer.step()
        for tensor in tensors.values():
            tensor.grad = None
        last = losses.detach()
        first = last if step == 0 else first
        for own in tasks:
            own.progress(step + 1, how.steps)
    measured = [
        {"first_loss": a, "last_loss": b}
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
    ] or [{} for _ in replicas]
    fitted: list[Any] = [None] * len(replicas)
    for row, (number, numbers) in enumerate(zip(order, measured, strict=True)):
        replica, own = replicas[number]
        if math.isfinite(numbers.get("last_loss", 0.0)):
            state = {name: tensor[row].detach().clone() for name, tensor in tensors.items()}
            fitted[number] = replica.classifier(own, state, numbers)
        else:
            fitted[number] = diverged(numbers["last_loss"], how.steps, replica.config.lr)
    return fitted


def _by_configuration(replicas: Sequence[Replica]) -> list[int]:
    """Their numbers, those of equal configuration one after another."""
    alike: dict[Any, list[int]] = {}
    for number, (method, _) in enumerate(replicas):
        alike.setdefault(method.config, []).append(number)
    return [number for members in alike.values() for number in members]


def _stacked(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}


def _groups(
    replicas: Sequence[Replica], tensors: Mapping[str, Tensor]
) -> tuple[list[Group], Optimizer]:
    """Runs of equal configuration, and one optimiser with a parameter group for each of them."""
    groups: list[Group] = []
    optimizers = []
    start = 0
    for _, run in itertools.groupby(replicas, lambda replica: replica[0].config):
        members = list(run)
        method, task = members[0]
        rows = slice(start, start + len(members))
        views = {name: tensor[rows] for name, tensor in tensors.items()}
        groups.append(Group(rows, views, method.training(len(task.support), task.shots).rate))
        optimizers.append(method.optimizer(list(views.values())))
        start = rows.stop
    first, *others = optimizers
    if any(type(o) is not type(first) or len(o.param_groups) != 1 for o in optimizers):
        raise TypeError(
            f"replicas of {replicas[0][0].name} need one kind of optimiser, of one group"
        )
    for other in others:
        first.add_param_group(other.param_groups[0])
    return groups, first


def _batches(tasks: Sequence[Task], how: Training) -> Iterator[tuple[Tensor, Tensor]]:
    """Per step (R, B, d) features and (R, B) labels: each replica's own, as `fit` would see."""
    if not how.views or not how.steps:
        each = [
            feature_batches(task, how.views, how.batch, how.steps, how.drop_last) for task in tasks
        ]
        for parts in zip(*each, strict=True):
            yield torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])
        return
    bank, starts = _bank(tasks, how.views)
    rows, labels, sizes = [], [], []  # per replica, of all steps
    for task, start in zip(tasks, starts, strict=True):
        images = len(task.support)
        order = list(minibatches(images, how.batch, how.steps, task.generator, how.drop_last))
        sizes = [len(chosen) for chosen in order]
        drawn = drawn_views(order, how.views, task.generator)
        view, chosen = (torch.cat(part).to(bank.device) for part in zip(*drawn, strict=True))
        rows.append(start + view * images + chosen)
        labels.append(task.support.labels.to(bank.device)[chosen])
    steps = [torch.split(torch.stack(part), sizes, dim=1) for part in (rows, labels)]
    for row, label in zip(*steps, strict=True):
        yield F.embedding(row, bank), label


def _bank(tasks: Sequence[Task], views: int) -> tuple[Tensor, list[int]]:
    """The distinct draws' cached views, (D·V·N, d), and the row at which each replica's begin."""
    banks: list[Tensor] = []
    which = []
    for task in tasks:
        bank = task.support.views(views).to(task.device)
        same = [number for number, known in enumerate(banks) if torch.equal(known, bank)]
        which.append(same[0] if same else len(banks))
        banks += [] if same else [bank]
    each = len(banks[0]) * banks[0].shape[1]
    return torch.cat([bank.flatten(0, 1) for bank in banks]), [each * number for number in which]
