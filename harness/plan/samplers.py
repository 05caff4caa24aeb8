"""What draws the cells of a suite, by shots and seed: a sampler and its options, or files."""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

from harness import registry
from harness.datasets.draw_files import DrawFile, read_draw
from harness.datasets.samplers import (
    FILE,
    SAMPLERS,
    Sampler,
    SamplerSpec,
    find_sampler,
    is_own,
)
from harness.errors import HarnessError
from harness.plan.suite import SuiteFile, located
from harness.plan.variants import build_config, complete
from harness.source import source_hash
from harness.store.identity import DrawIdentity

Draws = dict[tuple[int, int], tuple[SamplerSpec, DrawIdentity]]


def samplers_of(suite: SuiteFile) -> Draws:
    """By shots and seed: the sampler, paths made absolute, and what identifies the draw.

    A draw from a file is identified by the file's content, a plug-in by its source, so that
    editing them makes cells stale.

    Raises:
        HarnessError: an unknown sampler or option, or a file that cannot be read; with its line.
    """
    given = suite.suite
    grid = list(product(given.shots, given.seeds))
    if not given.sampler.name.startswith(FILE):
        spec, name, source = _sampler(suite)
        options = dict(spec.options) or None
        return {point: (spec, DrawIdentity(name, *point, options, source)) for point in grid}
    if given.sampler.options:
        raise suite.error(("sampler",), f"a draw from a file has no options ({FILE}PATH alone)")
    found: Draws = {}
    for point in grid:
        with located(suite, ("sampler",)):
            path = _filled(given.sampler.name, *point, suite.path.parent)
            spec = SamplerSpec(f"{FILE}{path}")
            identity = DrawIdentity(f"{FILE}{_content(path)}", *point)
            read_draw(path)  # a malformed file is said before anything runs
            found[point] = (spec, identity)
    return found


def build_sampler(spec: SamplerSpec, shots: int, seed: int) -> Sampler:
    """The sampler that a spec describes; `{shots}` and `{seed}` in a file's path are filled in.

    Raises:
        HarnessError: as `find_sampler`.
    """
    if spec.reference.startswith(FILE):
        return DrawFile(str(_filled(spec.reference, shots, seed)))
    sampler: Sampler = build_config(find_sampler(spec.reference), spec.options)
    return sampler


def sampler_source(spec: SamplerSpec) -> str | None:
    """SHA-256 of a plug-in's source; None of the project's own and of files."""
    if spec.reference.startswith(FILE) or is_own(find_sampler(spec.reference)):
        return None
    return source_hash(spec.reference, SAMPLERS)


def _sampler(suite: SuiteFile) -> tuple[SamplerSpec, str, str | None]:
    """The suite's sampler with all its options, its name, and its source."""
    entry = suite.suite.sampler
    with located(suite, ("sampler",)):
        reference = registry.absolute(entry.name, suite.path.parent)
        cls = find_sampler(reference)
    spec = SamplerSpec(reference, complete(suite, ("sampler",), cls, entry.options))
    with located(suite, ("sampler",)):
        return spec, cls.name, sampler_source(spec)


def _filled(reference: str, shots: int, seed: int, base: Path | None = None) -> Path:
    name = reference.removeprefix(FILE)
    path = Path(name.replace("{shots}", str(shots)).replace("{seed}", str(seed)))
    return path if base is None else (base / path).resolve()


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror or error}") from None
