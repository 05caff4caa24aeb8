"""What draws the cells of a suite, by shots and seed: a sampler, or a file each."""

from __future__ import annotations

import hashlib
from itertools import product

from harness import registry
from harness.datasets.samplers import FILE, SAMPLERS, find_sampler, is_own
from harness.errors import HarnessError
from harness.plan.suite import SuiteFile, located
from harness.source import source_hash


def samplers_of(suite: SuiteFile) -> dict[tuple[int, int], tuple[str, str]]:
    """By shots and seed: the sampler to run, paths made absolute, and what identifies it.

    A draw from a file is identified by the file's content, a plug-in by its source, so that
    editing them makes cells stale.

    Raises:
        HarnessError: an unknown sampler, or a file that cannot be read; with its line.
    """
    with located(suite, ("sampler",)):
        grid = list(product(suite.suite.shots, suite.suite.seeds))
        if suite.suite.sampler.startswith(FILE):
            return {point: _file(suite, *point) for point in grid}
        return dict.fromkeys(grid, _sampler(suite))


def _sampler(suite: SuiteFile) -> tuple[str, str]:
    given, base = suite.suite.sampler, suite.path.parent
    cls, reference = find_sampler(given, base), registry.absolute(given, base)
    if is_own(cls):
        return reference, cls.name
    return reference, f"{cls.name}:{source_hash(reference, SAMPLERS)}"


def _file(suite: SuiteFile, shots: int, seed: int) -> tuple[str, str]:
    name = suite.suite.sampler.removeprefix(FILE)
    filled = name.replace("{shots}", str(shots)).replace("{seed}", str(seed))
    path = (suite.path.parent / filled).resolve()
    try:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror or error}") from None
    return f"{FILE}{path}", f"{FILE}{content}"
