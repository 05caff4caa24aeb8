"""How long cells will take: as long as the same cells took, or by a cost model learnt from others.

The model is seconds = Σ rate × count, with what a method says of its work (`harness.task.Work`):
a constant, optimiser steps, those of them that pass through the image encoder and through the text
encoder (starting a pass costs the same whatever its batch), images and prompts with gradient, and
images without. The rates are fitted, non-negative, to the store's records of one backbone; so it
needs no knowledge of any method, only that something has run on the machine that the estimate is
for: best suites/calibration.yaml, in which these counts vary apart from each other. Counts stand
for what one pass costs on average: prompts of unusual length make it less exact.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from harness import registry
from harness.plan import Cell
from harness.record import Cost, Record
from harness.variants import build_config

FEWEST = 8
"""Records that a cost model is fitted to, at least."""
TERMS = (
    "constant",
    "steps",
    "image_steps",
    "prompt_steps",
    "images_trained",
    "prompts_trained",
    "images",
)


Draw = tuple[str, int, int]
"""Data set, shots, seed."""


@dataclass
class Views:
    """The cached views of one draw, whichever methods read them."""

    count: int = 0
    seconds: float = 0.0

    def add(self, cost: Cost) -> None:
        self.count = max(self.count, cost.work.get("views", 0))
        self.seconds += cost.feature_seconds


class Estimator:
    """Seconds per cell, learnt from records: as good as these are of this machine.

    The median of cells of the same backbone, method, configuration, data set and shots, where some
    have run; else the cost model of the backbone; else None.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._alike: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        self._costs: dict[str, list[Cost]] = defaultdict(list)
        self._rates: dict[str, tuple[int, Sequence[float]]] = {}
        self._works: dict[str, dict[str, int]] = {}
        self._views: dict[str, dict[Draw, Views]] = defaultdict(lambda: defaultdict(Views))
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from a finished cell."""
        if record.cost is None:
            return
        self._alike[_key(record.cell)].append(_seconds(record.cost))
        backbone = record.cell["backbone"]["name"]
        self._costs[backbone].append(record.cost)
        if record.draw is not None and record.cost.feature_seconds:
            draw = (record.cell["dataset"]["name"], record.cell["shots"], record.cell["seed"])
            self._views[backbone][draw].add(record.cost)

    def cell(self, cell: Cell) -> float | None:
        """Expected seconds of one cell, without frozen features that cells share."""
        key = _key(cell.identity)
        if key in self._alike:
            return median(self._alike[key])
        rates = self.rates(cell.backbone)
        if rates is None:
            return None
        fits = 1 + candidates_of(registry.find_method(cell.method), cell.identity)
        counts = counts_of(self._work(cell), fits)
        return sum(rate * count for rate, count in zip(rates, counts, strict=True))

    def rates(self, backbone: str) -> Sequence[float] | None:
        """Seconds per unit of `TERMS`; None where too little has run."""
        costs = [cost for cost in self._costs[backbone] if cost.work]
        if len(costs) < FEWEST:
            return None
        known = self._rates.get(backbone)
        if known is None or len(costs) >= 1.5 * known[0]:  # fitted anew as a run goes on
            known = self._rates[backbone] = (len(costs), fit_rates(costs))
        return known[1]

    def total(self, cells: Iterable[Cell], workers: int = 1) -> float | None:
        """Expected seconds of all of them, spread over workers; None where one is not known.

        Cached views are counted once per draw.
        """
        cells = list(cells)
        each = [self.cell(cell) for cell in cells]
        if any(seconds is None for seconds in each):
            return None
        views: dict[Any, float] = {}
        for cell in cells:
            draw = (cell.backbone, cell.dataset, cell.shots, cell.seed)
            seconds = self.view(cell.backbone) * self._work(cell)["views"]
            views[draw] = max(seconds, views.get(draw, 0.0))
        whole = sum(seconds for seconds in each if seconds is not None) + sum(views.values())
        return whole / max(1, workers)

    def view(self, backbone: str) -> float:
        """Seconds to augment and encode one image without gradient, where views were cached; else
        what scoring one takes, or 0."""
        drawn = [views for views in self._views[backbone].values() if views.count]
        if drawn:
            return sum(views.seconds for views in drawn) / sum(views.count for views in drawn)
        rates = self.rates(backbone)
        return 0.0 if rates is None else rates[-1]

    def _work(self, cell: Cell) -> dict[str, int]:
        if cell.id not in self._works:  # asked for again and again while a run goes on
            self._works[cell.id] = work_of(cell)
        return self._works[cell.id]


def fit_rates(costs: Sequence[Cost]) -> Sequence[float]:
    """Non-negative rates that make the relative errors of seconds = Σ rate × count least squares.

    Cells of under a tenth of a second weigh as if they took one: timers and warm-up rule there.
    """
    import numpy as np
    from scipy.optimize import nnls

    seconds = np.array([_seconds(cost) for cost in costs])
    counts = np.array([counts_of(cost.work, 1 + cost.evaluations) for cost in costs])
    weights = 1 / np.maximum(seconds, 0.1)
    scale = np.maximum(counts.max(axis=0), 1.0)
    rates, _ = nnls(counts / scale * weights[:, None], seconds * weights)
    return [float(rate) for rate in rates / scale]


def work_of(cell: Cell) -> dict[str, int]:
    """What the cell's record will say under `cost.work`."""
    method: Any = registry.find_method(cell.method)
    configured = method(build_config(method.Config, cell.config))
    work = configured.work(cell.classes, cell.classes * cell.shots, cell.shots)
    return {**asdict(work), "scored": cell.scored}


def counts_of(work: Mapping[str, int], fits: int) -> tuple[float, ...]:
    """The counts of `TERMS` of a cell that fits `fits` times and is scored once."""
    again = work["scored"] if work["adapts_images"] else 0
    steps, images, prompts = work["steps"], work["images_trained"], work["prompts_trained"]
    fitting = (steps, steps * bool(images), steps * bool(prompts), images, prompts, work["images"])
    return (1.0, *(fits * count for count in fitting[:-1]), fits * fitting[-1] + again)


def candidates_of(method: Any, identity: Mapping[str, Any]) -> int:
    """Candidates of a cell's search over the whole grid; 0 under `fixed`."""
    if identity["protocol"] == "fixed":
        return 0
    given = identity["method"].get("search")
    space = method.search_space if given is None else given
    return math.prod(map(len, space.values())) if space else 0


def _seconds(cost: Cost) -> float:
    return cost.fit_seconds + cost.score_seconds + cost.search_seconds


def _key(identity: Mapping[str, Any]) -> tuple[Any, ...]:
    method = identity["method"]
    config = repr(sorted(method["config"].items()))
    data, shots = identity["dataset"]["name"], identity["shots"]
    retention = tuple(held_out["name"] for held_out in identity.get("retention", ()))
    return (
        identity["backbone"]["name"],
        method["name"],
        identity["protocol"],
        config,
        data,
        shots,
        retention,
    )
