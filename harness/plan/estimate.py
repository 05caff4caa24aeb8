"""How long cells will take: as long as the same cells took, or by a cost model learnt from others.

The model is seconds = Σ rate × count, with what a method says of its work (`harness.task.Work`):
a constant, optimiser steps, those of them that train through the image encoder and through the text
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

from harness.canonical import canonical
from harness.plan.cell import Cell, names_of
from harness.plan.methods import find_method
from harness.plan.variants import build_config
from harness.store.identity import Axes, Identity
from harness.store.record import Cost, Record

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


@dataclass
class Views:
    """The cached views of one draw, whichever methods read them."""

    count: int = 0
    seconds: float = 0.0

    def add(self, cost: Cost) -> None:
        """The longest time is that of the cell which made them; others waited, or found them."""
        self.count = max(self.count, cost.work["views"])
        self.seconds = max(self.seconds, cost.feature_seconds)


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
        self._views: dict[str, dict[str, Views]] = defaultdict(lambda: defaultdict(Views))
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Learn from a finished cell."""
        cost, backbone = record.cost, record.identity.backbone.name
        if cost is None:
            return
        self._alike[_key(record.identity)].append(_seconds(cost))
        if cost.work:
            self._costs[backbone].append(cost)
            if cost.work["views"]:
                self._views[backbone][_draw(record.identity)].add(cost)

    def cell(self, cell: Cell) -> float | None:
        """Expected seconds of one cell, without frozen features that cells share."""
        key = _key(cell.identity)
        if key in self._alike:
            return median(self._alike[key])
        rates = self.rates(cell.backbone)
        if rates is None:
            return None
        fits = 1 + candidates_of(find_method(cell.method), cell.identity)
        counts = counts_of(self._work(cell), fits)
        return sum(rate * count for rate, count in zip(rates, counts, strict=True))

    def rates(self, backbone: str) -> Sequence[float] | None:
        """Seconds per unit of `TERMS`; None where too little has run."""
        costs = self._costs[backbone]
        if len(costs) < FEWEST:
            return None
        known = self._rates.get(backbone)
        if known is None or len(costs) >= 1.5 * known[0]:  # fitted anew as a run goes on
            known = self._rates[backbone] = (len(costs), fit_rates(costs))
        return known[1]

    def total(self, cells: Iterable[Cell], workers: int = 1) -> float | None:
        """Expected seconds of all of them, spread over workers; None where one is not known.

        However many workers there are, the longest cell takes its time. Views are counted once per
        draw, and not where a draw's have been made already.
        """
        cells = list(cells)
        each = [self.cell(cell) for cell in cells]
        if any(seconds is None for seconds in each):
            return None
        wanted: dict[tuple[str, str], int] = defaultdict(int)
        for cell in cells:
            draw = (cell.backbone, _draw(cell.identity))
            wanted[draw] = max(wanted[draw], self._work(cell)["views"])
        rates = {backbone: self.view(backbone) for backbone, _ in wanted}
        views = sum(
            rates[backbone] * count
            for (backbone, draw), count in wanted.items()
            if count > self._views[backbone].get(draw, Views()).count
        )
        known = [seconds for seconds in each if seconds is not None]
        return max((sum(known) + views) / max(1, workers), *known, 0.0)

    def view(self, backbone: str) -> float:
        """Seconds to augment and encode one image without gradient, where views were made; else
        what scoring one takes, or 0."""
        made = [views for views in self._views[backbone].values() if views.seconds]
        if made:
            return sum(views.seconds for views in made) / sum(views.count for views in made)
        rates = self.rates(backbone)
        return 0.0 if rates is None else rates[-1]

    def _work(self, cell: Cell) -> dict[str, int]:
        if cell.id not in self._works:  # asked for again and again while a run goes on
            self._works[cell.id] = work_of(cell)
        return self._works[cell.id]


def fit_rates(costs: Sequence[Cost]) -> Sequence[float]:
    """Non-negative rates that make the relative errors of seconds = Σ rate × count least squares.

    Cells of under a tenth of a second weigh as if they took that: timers and warm-up rule there.
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
    method: Any = find_method(cell.method)
    configured = method(build_config(method.Config, cell.config))
    work = configured.work(cell.classes, cell.classes * cell.shots, cell.shots)
    return {**{name: int(count) for name, count in asdict(work).items()}, "scored": cell.scored}


def counts_of(work: Mapping[str, int], fits: int) -> tuple[float, ...]:
    """The counts of `TERMS` of a cell that fits `fits` times and is scored once."""
    again = work["scored"] if work["adapts_images"] else 0
    steps, images, prompts = (
        fits * work[name] for name in ("steps", "images_trained", "prompts_trained")
    )
    through_images, through_prompts = steps * bool(images), steps * bool(prompts)
    frozen = fits * work["images"] + again
    return (1.0, steps, through_images, through_prompts, images, prompts, frozen)


def candidates_of(method: Any, identity: Axes) -> int:
    """Candidates of a cell's search over the whole grid; 0 where its protocol has none."""
    if not identity.access.searches:
        return 0
    given = identity.method.search
    space = method.search_space if given is None else given
    return math.prod(map(len, space.values())) if space else 0


def _seconds(cost: Cost) -> float:
    return cost.fit_seconds + cost.score_seconds + cost.search_seconds


def _key(identity: Identity) -> tuple[Any, ...]:
    """What cells that take as long have in common: all but the seed and the versions of things."""
    config = canonical(identity.method.config)
    axes = (identity.method.name, config, identity.protocol, identity.shots)
    return (identity.backbone.name, *axes, *map(names_of, identity.stages))


def _draw(identity: Identity) -> str:
    """What cached views depend on besides the backbone: the draw, and how it is augmented."""
    parts = (identity.data.canonical, identity.draw, identity.augment)
    return canonical([part if isinstance(part, str) else part and part.canonical for part in parts])
