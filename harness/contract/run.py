"""Runs the checks in order and says of each whether it passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.backbones import Backbone
from harness.contract import form, learning, tasks, traces
from harness.contract.subject import Broken, Skip, Subject
from harness.contract.toy import tiny_backbone
from harness.task import FeaturesOnlyError, Method, NotApplicable
from harness.wording import named

CHECKS: dict[str, Callable[[Subject], None]] = {
    "declares a name, a frozen Config and a search space": form.declaration,
    "logits have the right shape and are finite": form.shapes,
    "tensors of the task and the batch are as they were": traces.shared_tensors,
    "trainable and details are numbers": form.report,
    "work is told before a fit": form.work,
    "same seed, same classifier; global randomness untouched": traces.determinism,
    "backbone unchanged after a fit": traces.backbone_after_fit,
    "backbone unchanged after an exception": traces.backbone_after_exception,
    "zero steps are the frozen model": learning.zero_steps,
    "save and load": form.save_and_load,
    "one shot": tasks.one_shot,
    "two classes": tasks.two_classes,
    "a support set of a single class": tasks.single_class,
    "transfer to other class names": tasks.transfer,
    "learns a planted signal": learning.planted_signal,
    "chance level with shuffled labels": learning.shuffled_labels,
    "test set out of reach": learning.test_set,
}


@dataclass(frozen=True)
class Check:
    """One line of the report. `message` says what was expected and how to mend it, or why not."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    message: str = ""


def run_contract(method: type[Method], backbone: Backbone | None = None) -> list[Check]:
    """All checks on a method class, in order; after a wrong declaration, the rest is skipped.

    Args:
        backbone: what to fit on; by default a tiny CLIP of random weights.
    """
    subject = Subject(method, backbone or tiny_backbone())
    checks: list[Check] = []
    for name, check in CHECKS.items():
        if checks and checks[0].status == "failed":
            checks.append(Check(name, "skipped", "needs a valid declaration"))
            continue
        try:
            check(subject)
            checks.append(Check(name, "passed"))
        except Broken as broken:
            checks.append(Check(name, "failed", str(broken)))
        except (Skip, NotApplicable, FeaturesOnlyError) as reason:
            checks.append(Check(name, "skipped", str(reason)))
        except Exception as error:  # whatever a plug-in raises is a finding
            message = f"{named(error)} ({origin(error)})"
            checks.append(Check(name, "failed", message))
    return checks


def origin(error: Exception) -> str:
    """`file.py:12`, where an error was raised."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
