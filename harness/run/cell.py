"""`run_cell`: the only place where a method is fitted and scored, timed and metered."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import torch

from harness.datasets import DatasetError
from harness.datasets.columns import columns_of
from harness.plan.cell import Cell
from harness.plan.variants import build_config
from harness.run.cost import Meter
from harness.run.device_loss import device_lost
from harness.run.evaluation import Evaluation
from harness.run.measures import measure, measure_retention
from harness.run.prepared import Resources, StaleWorker
from harness.run.provenance import provenance
from harness.run.search import Choice, Evaluator, accuracy_of, choose, plain
from harness.run.transfer import carry_over
from harness.store.record import Cost, Draw, Failure, Record, Retention
from harness.task import Classifier, FeaturesOnlyError, NotApplicable, Task

Kind = Literal["method", "data", "memory", "infrastructure", "not_applicable"]


@dataclass(frozen=True)
class Outcome:
    """A cell's record and, where the suite asks for them, its test logits."""

    record: Record
    logits: dict[str, np.ndarray] | None = None
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
    return _guarded(
        cell, attempt, lambda: _scored(cell, resources, _fit(cell, resources, parallel))
    )


def failure_record(
    cell: Cell, error: BaseException, attempt: int, kind: Kind | None = None
) -> Record:
    """What is kept of a cell that did not finish."""
    kind = kind or _kind(error)
    message = str(error) if isinstance(error, ValueError | NotApplicable | StaleWorker) else ""
    return Record(
        id=cell.id,
        label=cell.label,
        cell=dict(cell.identity),
        status="skipped" if kind == "not_applicable" else "failed",
        provenance={**provenance(), "finished": _now()},
        failure=Failure(
            kind=kind,
            message=message or f"{type(error).__name__}: {error}",
            traceback="".join(traceback.format_exception(error)),
            attempt=attempt,
        ),
    )


def candidate_accuracy(cell: Cell, candidate: dict[str, Any], resources: Resources) -> float:
    """What a search sees of one configuration (as JSON values): accuracy in percent."""
    method, episode = resources.method(cell), resources.episode(cell)
    test = resources.evaluation(cell.dataset_spec, cell.templates, cell)
    task = resources.task(cell, episode, with_val=cell.access.sees_val)
    return accuracy_of(method, build_config(method.Config, candidate), cell.access, task, test)


@dataclass(frozen=True)
class Fitted:
    """A classifier, how it was chosen, and what that took."""

    classifier: Classifier
    choice: Choice
    meter: Meter
    feature_seconds: float
    """Spent on shared features until the fit was done; `meter.seconds` is without them."""


def _guarded(cell: Cell, attempt: int, run: Callable[[], Outcome]) -> Outcome:
    try:
        outcome = run()
        outcome.record.to_json()  # e.g. NaN among a method's details is the method's failure
        return outcome
    except (Exception, SystemExit) as error:  # what a plug-in raises must not stop the grid
        return _failed(cell, error, attempt)


def _failed(cell: Cell, error: BaseException, attempt: int) -> Outcome:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise error  # no other cell will fare better
    return Outcome(failure_record(cell, error, attempt), device_lost=device_lost(error))


def _fit(cell: Cell, resources: Resources, parallel: Evaluator | None) -> Fitted:
    method, before = resources.method(cell), resources.feature_seconds
    device = resources.backbone(cell).device
    episode = resources.episode(cell)
    searching = cell.access.sees_val

    def task() -> Task:
        return resources.task(cell, episode, with_val=searching)

    test = resources.evaluation(cell.dataset_spec, cell.templates, cell)
    base = build_config(method.Config, cell.config)
    choice = choose(method, base, cell.search, cell.access, task, test, parallel)
    last = task()
    with Meter(device, lambda: resources.feature_seconds) as meter:
        classifier = method(choice.config).fit(last)
    return Fitted(classifier, choice, meter, resources.feature_seconds - before)


def _scored(cell: Cell, resources: Resources, fitted: Fitted) -> Outcome:
    classifier, choice, fit = fitted.classifier, fitted.choice, fitted.meter
    backbone, episode = resources.backbone(cell), resources.episode(cell)
    test = resources.evaluation(cell.dataset_spec, cell.templates, cell)
    searching, before = cell.access.sees_val, resources.feature_seconds
    with Meter(backbone.device, lambda: resources.feature_seconds) as score:
        logits = test.logits(classifier)
        retention = {
            spec.name: _retention(
                resources.evaluation(spec, tuple(entry["templates"]), cell),
                classifier,
                columns_of(resources.dataset(spec), resources.dataset(cell.dataset_spec)),
            )
            for spec, entry in zip(cell.retention_specs, cell.identity["retention"], strict=True)
        }
    method = resources.method(cell)
    work = method(choice.config).work(len(test.classes), len(episode.train), cell.shots)
    record = Record(
        id=cell.id,
        label=cell.label,
        cell=dict(cell.identity),
        status="ok",
        metrics=measure(logits, test.frozen_logits(), test.labels),
        retention=retention,
        cost=Cost(
            fit_seconds=fit.seconds,
            score_seconds=score.seconds,
            search_seconds=choice.seconds,
            evaluations=len(choice.trials),
            peak_memory_mib=max(fit.peak_memory_mib, score.peak_memory_mib),
            trainable=int(classifier.trainable),
            feature_seconds=fitted.feature_seconds + resources.feature_seconds - before,
            work={**asdict(work), "scored": cell.scored},
        ),
        draw=Draw(
            id=episode.id,
            sampler=episode.sampler,
            images=len(episode.train),
            val_id=episode.val_id if searching else "",
            val_images=len(episode.val) if searching else 0,
        ),
        details={name: float(value) for name, value in classifier.details().items()},
        search=choice.trials,
        chosen=plain(choice.config),
        provenance={
            **provenance(),
            "device": str(backbone.device),
            "notes": list(getattr(backbone, "notes", ())),
            "finished": _now(),
        },
    )
    return Outcome(record, _kept(logits, test) if cell.keep_logits else None)


def _retention(
    held_out: Evaluation, classifier: Classifier, columns: tuple[int, ...] | None
) -> Retention | None:
    carried = carry_over(classifier, held_out.classes, columns)
    if carried is None:
        return None
    there, rule = carried
    logits = held_out.logits(there)
    return measure_retention(logits, held_out.frozen_logits(), held_out.labels, rule)


def _kept(logits: torch.Tensor, test: Evaluation) -> dict[str, np.ndarray]:
    return {"logits": logits.half().numpy(), "labels": test.labels.numpy()}


def _kind(error: BaseException) -> Kind:
    if isinstance(error, NotApplicable | FeaturesOnlyError):
        return "not_applicable"
    out_of_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    if out_of_memory or "DefaultCPUAllocator" in str(error):  # torch's, on a CPU
        return "memory"
    if isinstance(error, StaleWorker) or device_lost(error):
        return "infrastructure"
    if isinstance(error, DatasetError | OSError):
        return "data"
    return "method"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
