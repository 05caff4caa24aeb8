"""What to do about a data set that is not on this machine, as commands to be copied."""

from __future__ import annotations

import shlex

from harness.datasets.catalogue import CATALOGUE
from harness.datasets.fetch.fetch import SOURCES
from harness.datasets.spec import ROOT_VARIABLE, DatasetSpec


def remedy(spec: DatasetSpec) -> str:
    """One line: how to get the images where they may be fetched, and how to check them."""
    known = None if spec.kind else CATALOGUE.get(spec.reference)
    if known is None:
        return "correct its paths in the suite (relative ones begin at the suite's folder)"
    root = shlex.quote(spec.root) if spec.root else "ROOT"
    if known.name in SOURCES:
        steps = [f"harness data fetch {known.name} --root {root}"]
    else:
        steps = [known.advice or f"get it from {known.source}"]
    steps.append(f"harness data check {root} {known.name}")
    if spec.root is None:
        steps.append(f"export {ROOT_VARIABLE}=ROOT")
    return "; ".join(steps)
