"""What is kept of a cell that did not finish: the error, and of which kind it is."""

from __future__ import annotations

import traceback

import torch

from harness.backbones import BackboneError
from harness.datasets import DatasetError
from harness.plan.cell import Cell
from harness.run.device_loss import device_lost
from harness.run.provenance import stamped
from harness.run.resources import StaleWorker
from harness.store.record import Failure, Kind, Record
from harness.task import FeaturesOnlyError, NotApplicable
from harness.wording import named, one_line


def failure_record(
    cell: Cell, error: BaseException, attempt: int, kind: Kind | None = None
) -> Record:
    """What is kept of a cell that did not finish."""
    kind = kind or kind_of(error)
    message = one_line(error) if isinstance(error, ValueError | NotApplicable | StaleWorker) else ""
    return Record(
        id=cell.id,
        label=cell.label,
        identity=cell.identity,
        status="skipped" if kind == "not_applicable" else "failed",
        provenance=stamped(),
        failure=Failure(
            kind=kind,
            message=message or named(error),
            traceback="".join(traceback.format_exception(error)),
            attempt=attempt,
        ),
    )


def kind_of(error: BaseException) -> Kind:
    """Whose fault an error is: it decides whether the cell is tried again."""
    if isinstance(error, NotApplicable | FeaturesOnlyError):
        return "not_applicable"
    out_of_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    if out_of_memory or "DefaultCPUAllocator" in str(error):  # torch's, on a CPU
        return "memory"
    if isinstance(error, StaleWorker) or device_lost(error):
        return "infrastructure"
    if isinstance(error, DatasetError | BackboneError | OSError):
        return "data"
    return "method"
