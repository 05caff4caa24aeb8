"""Prompts as one flat sequence: what all begin with once, then each one's own tokens.

Prompts keep their true lengths, or nearly so: some share a group, padded to the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Prompt = tuple[int, ...]
GROUP_WORK = {"cpu": 3e5, "cuda": 3e8}
"""Overhead of one more group of prompts in attention, in w² · tokens, where 48·w² floating-point
operations are a token's work in one layer, forward and backward."""


def group_cost(device: torch.device, width: int) -> float:
    """What one more group is worth on a device, in tokens of a tower of this width."""
    return GROUP_WORK.get(device.type, GROUP_WORK["cuda"]) / width**2


@dataclass(frozen=True)
class Group:
    """`count` prompts with L = `length` own tokens each, the shorter ones padded at their ends.

    `causal` (L, P + L): which keys of the prefix and its own each token sees. `at_end`: the same
    for the end tokens, (count, 1, 1, P + L), or None where none is padded and they see all.
    """

    count: int
    length: int
    causal: Tensor
    at_end: Tensor | None


@dataclass(frozen=True)
class Packing:
    """How prompts lie in the flat token sequence of length T: the prefix, then the groups.

    `ids` and `positions` are (T,). Row `rows[i]` of a learnt context stands at `learnt[i]`, both
    (m,). `ends` (n,) are the end tokens; `order` (n,) takes the packed prompts back to the
    caller's order. `weights` (T,) says in how many prompts a token stands: all of them have the
    prefix, none has the padding.
    """

    ids: Tensor
    positions: Tensor
    learnt: Tensor
    rows: Tensor
    prefix: int
    groups: tuple[Group, ...]
    ends: Tensor
    order: Tensor
    weights: Tensor

    def split(self, x: Tensor) -> list[Tensor]:
        """(T, w) → the prefix (P, w) and each group (count, L, w)."""
        prefix, *own = torch.split(x, [self.prefix, *(g.count * g.length for g in self.groups)])
        pairs = zip(own, self.groups, strict=True)
        return [prefix, *(part.view(group.count, group.length, -1) for part, group in pairs)]

    def put(self, x: Tensor, context: Tensor) -> Tensor:
        """x (T, w) with the rows of `context` (J, w) where they belong; gradients reach it."""
        return with_rows(x, self.learnt, self.rows, context)


def pack(prompts: Sequence[Prompt], device: torch.device, group_cost: float = 0) -> Packing:
    """Lay out `prompts`. Every prompt keeps at least one token of its own.

    Args:
        group_cost: how many tokens' work a further group is worth; where padding costs less,
            prompts of different lengths share a group. Behind the end token nothing matters.
    """
    prefix = common_prefix(prompts)
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    own = [prompts[i][prefix:] for i in by_length]
    ids, positions, ends = list(prompts[0][:prefix]), list(range(prefix)), []
    groups, weights = [], [float(len(prompts))] * prefix
    for start, stop in group_runs([len(tokens) for tokens in own], group_cost):
        members, length = own[start:stop], len(own[stop - 1])
        for tokens in members:
            ends.append(len(ids) + len(tokens) - 1)
            ids += tokens + (0,) * (length - len(tokens))
            positions += range(prefix, prefix + length)
            weights += [1.0] * len(tokens) + [0.0] * (length - len(tokens))
        groups.append(_group([len(tokens) for tokens in members], prefix, device))
    learnt = [place for place, i in enumerate(ids) if i < 0]
    return Packing(
        ids=torch.tensor([max(i, 0) for i in ids], device=device),
        positions=torch.tensor(positions, device=device),
        learnt=torch.tensor(learnt, dtype=torch.long, device=device),
        rows=torch.tensor([-1 - ids[place] for place in learnt], dtype=torch.long, device=device),
        prefix=prefix,
        groups=tuple(groups),
        ends=torch.tensor(ends, device=device),
        order=torch.tensor(by_length, device=device).argsort(),
        weights=torch.tensor(weights, device=device),
    )


def _group(lengths: list[int], prefix: int, device: torch.device) -> Group:
    length = lengths[-1]
    causal = torch.ones(length, prefix + length, dtype=torch.bool, device=device).tril(prefix)
    last = torch.tensor(lengths, device=device) - 1
    at_end = causal[last][:, None, None] if lengths[0] < length else None
    return Group(len(lengths), length, causal, at_end)


def group_runs(lengths: Sequence[int], group_cost: float) -> list[tuple[int, int]]:
    """Cut ascending `lengths` into runs start:stop, each to be padded to its longest.

    Minimises padded tokens + group_cost · runs over all cuts between different lengths.
    """
    stops = [i for i in range(1, len(lengths)) if lengths[i - 1] < lengths[i]] + [len(lengths)]
    best: dict[int, tuple[float, list[tuple[int, int]]]] = {0: (0.0, [])}
    for stop in stops:
        best[stop] = min(
            (cost + group_cost + (stop - start) * lengths[stop - 1], [*runs, (start, stop)])
            for start, (cost, runs) in best.items()
        )
    return best[len(lengths)][1]


def common_prefix(prompts: Sequence[Prompt]) -> int:
    """How many leading tokens all prompts share, at most one less than the shortest."""
    first, last = min(prompts), max(prompts)
    longest = min(len(prompt) for prompt in prompts) - 1
    shared = 0
    while shared < longest and first[shared] == last[shared]:
        shared += 1
    return shared


def with_rows(x: Tensor, places: Tensor, rows: Tensor, learnt: Tensor) -> Tensor:
    """x (T, w) with rows (m,) of `learnt` (J, w) at `places` (m,); gradients reach `learnt`."""
    # An embedding lookup's backward pass adds up repeated rows in a fixed order, on any device.
    return x.index_copy(0, places, F.embedding(rows, learnt).to(x.dtype))
