"""The contract of a method, as checks that run on any `Method` class in seconds.

`harness test path/to/file.py:Class` prints them; the project's own tests run them over every
method. What a method is handed is read only: one that writes into a tensor of the task or the
batch fails. Leaving `restore` out is no failure. A Config may carry two class attributes for this
purpose:

    quick     overrides under which a few seconds suffice to learn an easy task
    identity  overrides under which the method is the frozen model; without it zero `steps` or
              `epochs` are tried, where the Config has such a field
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.backbones import Backbone
from harness.contract_checks import CHECKS, Broken, Skip, Subject
from harness.planted import tiny_backbone
from harness.task import FeaturesOnlyError, Method, NotApplicable


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
            message = f"{type(error).__name__}: {error} ({origin(error)})"
            checks.append(Check(name, "failed", message))
    return checks


def origin(error: Exception) -> str:
    """`file.py:12`, where an error was raised."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
