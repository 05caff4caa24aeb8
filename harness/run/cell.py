"""`run_cell`: the only place where a method is fitted and scored, timed and metered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from harness.errors import full_disk
from harness.measure import Scored
from harness.plan.cell import Cell
from harness.plan.variants import build_config
from harness.run.cost import Meter, in_all
from harness.run.device_loss import device_lost
from harness.run.evaluation import Evaluation
from harness.run.failure import failure_record
from harness.run.kept import RETENTION, TEST, Arrays, Kept, to_arrays
from harness.run.measures import measured
from harness.run.prepared import Prepared, PreparedStage
from harness.run.provenance import provenance, stamped
from harness.run.resources import Resources
from harness.run.search import Choice, Evaluator, accuracy_of, choose, plain
from harness.run.transfer import carry_over
from harness.store.record import Cost, Draw, Metrics, Record, Retention, StageResult
from harness.task import Classifier, Task


@dataclass(frozen=True)
class Outcome:
    """A cell's record and, where the suite asks for it, what was scored."""

    record: Record
    kept: Arrays | None = None
    """As `harness.run.kept` describes it."""
    device_lost: bool = False
    """Whether the process that ran the cell has lost its GPU: no other cell can run in it."""


def run_cell(
    cell: Cell, resources: Resources, attempt: int = 1, parallel: Evaluator | None = None
) -> Outcome:
    """Draw, choose, fit, score. An exception becomes a failure record; it is never raised.

    Args:
        attempt: the how-manieth try this is, for the failure record.
        parallel: evaluates the candidates of a search side by side (see `harness.run.search`).

    Raises:
        OSError: the disk is full.
    """
    provenance()  # kept from here on: it asks the GPU for its name, which a fault would forbid
    return _guarded(cell, attempt, lambda: _run(Prepared(cell, resources), parallel))


def candidate_accuracy(cell: Cell, candidate: dict[str, Any], resources: Resources) -> float:
    """What a search sees of one configuration (as JSON values): accuracy in percent.

    At the first stage: a later one needs the classifier of the stage before.
    """
    opened = Prepared(cell, resources)
    config, stage = build_config(opened.method.Config, candidate), opened.stages[0]
    return accuracy_of(opened.method, config, cell.access, stage.task(), stage.test)


@dataclass(frozen=True)
class Fitted:
    """A classifier, how it was chosen, and what that took."""

    classifier: Classifier
    choice: Choice
    meter: Meter
    feature_seconds: float
    """Spent on shared features until the fit was done; `meter.seconds` is without them."""


@dataclass(frozen=True)
class ScoredStage:
    """What came of a stage, what it cost, and what its measures were computed of."""

    result: StageResult
    cost: Cost
    kept: dict[str, Kept]


def _guarded(cell: Cell, attempt: int, run: Callable[[], Outcome]) -> Outcome:
    try:
        outcome = run()
        outcome.record.to_json()  # e.g. NaN among a method's details is the method's failure
        return outcome
    except (Exception, SystemExit) as error:  # what a plug-in raises must not stop the grid
        return _failed(cell, error, attempt)


def _failed(cell: Cell, error: BaseException, attempt: int) -> Outcome:
    if (full := full_disk(error)) is not None:
        raise full  # no other cell will fare better
    return Outcome(failure_record(cell, error, attempt), device_lost=device_lost(error))


def _run(opened: Prepared, parallel: Evaluator | None) -> Outcome:
    _ = opened.measures  # before the fit: a stale one must not cost it
    previous, scored = None, []
    for stage in opened.stages:
        fitted = _fit(stage, previous, parallel if previous is None else None)
        scored.append(_score(stage, fitted))
        previous = fitted.classifier
    return _outcome(opened, scored)


def _fit(stage: PreparedStage, previous: Classifier | None, parallel: Evaluator | None) -> Fitted:
    opened, cell = stage.opened, stage.cell
    before, method = opened.feature_seconds, opened.method

    def task() -> Task:
        return stage.task(previous)

    choice = choose(method, opened.config, cell.search, cell.access, task, stage.test, parallel)
    last = task()
    with Meter(opened.backbone.device, lambda: opened.feature_seconds) as meter:
        classifier = method(choice.config).fit(last)
    return Fitted(classifier, choice, meter, opened.feature_seconds - before)


def _score(stage: PreparedStage, fitted: Fitted) -> ScoredStage:
    opened, classifier, choice = stage.opened, fitted.classifier, fitted.choice
    before = opened.feature_seconds
    with Meter(opened.backbone.device, lambda: opened.feature_seconds) as meter:
        scores = _scores(stage, classifier)
    result = StageResult(
        metrics=scores.metrics,
        retention=scores.retention,
        draw=_draw(stage),
        details=_details(classifier),
        search=choice.trials,
        chosen=plain(choice.config),
    )
    cost = _cost(stage, fitted, meter, opened.feature_seconds - before)
    return ScoredStage(result, cost, scores.kept)


def _outcome(opened: Prepared, stages: list[ScoredStage]) -> Outcome:
    """The record of all stages: the last one's numbers, and what they cost together."""
    cell, last = opened.cell, stages[-1]
    results = [stage.result for stage in stages]
    record = Record(
        id=cell.id,
        label=cell.label,
        identity=cell.identity,
        status="ok",
        **{field.name: getattr(last.result, field.name) for field in fields(StageResult)},
        cost=in_all([stage.cost for stage in stages]),
        earlier=results[:-1],
        provenance=_provenance(opened),
    )
    return Outcome(record, to_arrays(last.kept) if cell.keep_logits else None)


def _details(classifier: Classifier) -> dict[str, float]:
    found = {name: float(value) for name, value in classifier.details().items()}
    for name, value in found.items():
        if not math.isfinite(value):
            kind = type(classifier).__name__
            raise ValueError(f'{kind}.details(): "{name}" is {value}, expected a finite number')
    return found


@dataclass
class Scores:
    """The measures of the test set and of every retention set, and what they were computed of."""

    metrics: Metrics = field(default_factory=dict)
    retention: dict[str, Retention | None] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    """Empty unless the suite asks for it."""


def _scores(stage: PreparedStage, classifier: Classifier) -> Scores:
    scores = Scores()

    def score(where: str, there: Evaluation, scored: Scored) -> Metrics:
        if stage.cell.keep_logits:
            scores.kept[where] = Kept(scored, there.paths)
        return measured(scored, stage.opened.measures)

    support = torch.tensor([item.label for item in stage.draw.train])
    scores.metrics = score(TEST, stage.test, stage.test.scored(classifier, support))
    for name, held_out in stage.held_out.items():
        there = held_out.evaluation
        carried = carry_over(classifier, there.classes, held_out.columns)
        if carried is not None:
            found = score(RETENTION + name, there, there.scored(carried[0]))
            scores.retention[name] = Retention(found, carried[1])
        else:
            scores.retention[name] = None
    return scores


def _cost(stage: PreparedStage, fitted: Fitted, score: Meter, feature_seconds: float) -> Cost:
    cell, choice, fit = stage.cell, fitted.choice, fitted.meter
    classes, images = len(stage.test.classes), len(stage.draw.train)
    work = stage.opened.method(choice.config).work(classes, images, cell.shots)
    scored = sum(map(len, (stage.test, *(one.evaluation for one in stage.held_out.values()))))
    return Cost(
        fit_seconds=fit.seconds,
        score_seconds=score.seconds,
        search_seconds=choice.seconds,
        evaluations=len(choice.trials),
        peak_memory_mib=max(fit.peak_memory_mib, score.peak_memory_mib),
        trainable=int(fitted.classifier.trainable),
        feature_seconds=fitted.feature_seconds + feature_seconds,
        work={**{name: int(count) for name, count in asdict(work).items()}, "scored": scored},
    )


def _draw(stage: PreparedStage) -> Draw:
    draw, sees_val, shots = stage.draw, stage.cell.access.sees_val, stage.cell.shots
    classes = range(len(stage.test.classes) if shots else 0)
    return Draw(
        id=draw.id,
        sampler=draw.sampler,
        images=draw.given.total(),
        val_id=draw.val_id if sees_val else "",
        val_images=len(draw.val) if sees_val else 0,
        classes=len(classes),
        classes_short=sum(draw.given[label] < shots for label in classes),
    )


def _provenance(opened: Prepared) -> dict[str, Any]:
    return {
        **stamped(),
        "device": str(opened.backbone.device),
        "notes": list(getattr(opened.backbone, "notes", ())),
        "data": {name: list(reading.said) for name, reading in opened.readings().items()},
    }
