"""`harness draw`: the few-shot draw of a CoOp split file, or of a suite's cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.datasets.dataset import Item
from harness.datasets.draw_files import read_draw, to_json_lines, to_split_json
from harness.datasets.draws import Episode, draw
from harness.datasets.samplers import SamplerSpec
from harness.datasets.split_file import read_split
from harness.errors import HarnessError, few
from harness.plan.cell import Cell
from harness.plan.expand import Plan
from harness.plan.samplers import build_sampler
from harness.verbs.ends import print_data

"""How many cells or draws an error names; it counts all of them."""


def print_draw(
    source: Path,
    shots: int | None,
    seed: int | None,
    sampler: str | None,
    cell: str | None,
    form: str | None,
    only: tuple[str, ...],
) -> int:
    """Print a draw in drawing order, in one of the forms of `harness.datasets.draw_files`.

    Raises:
        HarnessError: options that belong to the other kind of source, or that do not single out
            one draw.
    """
    if source.suffix in (".yaml", ".yml"):
        if shots is not None or seed is not None or sampler is not None:
            raise HarnessError(
                f"{source} is a suite, which says shots, seeds and sampler itself: choose a draw "
                "with --cell ID, or with --only shots=… --only seed=… --only dataset=…"
            )
        splits = _of_suite(source, cell, only).splits
    else:
        if cell is not None or only:
            raise HarnessError(f"{source}: --cell and --only choose from a suite, a .yaml file")
        splits = _of_file(source, shots, seed, sampler, form)
    print_data(to_split_json(splits) if form == "json" else to_json_lines(splits))
    return 0


def _of_file(
    source: Path, shots: int | None, seed: int | None, sampler: str | None, form: str | None
) -> Mapping[str, Sequence[Item]]:
    """The draw that a file holds, or, with shots and seed, one that is made from a split file."""
    if shots is None and seed is None and sampler is None and form is not None:
        return read_draw(source)
    if shots is None or seed is None:
        raise HarnessError(
            f"{source}: a split file needs --shots and --seed; a file that holds a draw already "
            "needs --form, and is printed in it"
        )
    splits = read_split(source)
    how = build_sampler(SamplerSpec(sampler or "coop"), shots, seed)
    return draw(splits["train"], splits.get("val", ()), shots, seed, how).splits


def _of_suite(suite: Path, prefix: str | None, words: Sequence[str]) -> Episode:
    from harness.datasets import load_dataset
    from harness.plan.expand import outline
    from harness.plan.select import only
    from harness.plan.suite import load_suite
    from harness.run.resources import episode_of

    plan = only(outline(load_suite(suite)), words).whole()
    cells = plan.cells if prefix is None else (_find(plan, prefix),)
    drawing = [cell for cell in cells if cell.shots]
    if not drawing:
        labels = ", ".join(dict.fromkeys(cell.label for cell in cells))
        raise HarnessError(f"{labels}: uses no support set, so there is no draw to print")
    # Methods share their draws: cells that differ by method only are one draw.
    several = {(cell.dataset, cell.shots, cell.seed): cell for cell in drawing}
    if len(several) > 1:
        places = [f"{data} shots={k} seed={seed}" for data, k, seed in several]
        raise HarnessError(
            f"{suite}: {len(several)} draws to choose from ({few(places, 3, '; ')}): single one "
            "out with --cell ID, or with --only dataset=… --only shots=… --only seed=…"
        )
    (cell,) = several.values()
    return episode_of(cell, load_dataset(cell.dataset_spec))


def _find(plan: Plan, prefix: str) -> Cell:
    """The cell whose id begins with `prefix`."""
    found = [cell for cell in plan.cells if cell.id.startswith(prefix.lower())]
    if not found:
        suite = plan.suite.path
        raise HarnessError(
            f"--cell {prefix}: no cell of {suite} has an id that begins so (harness plan {suite} "
            "--json lists them; an id changes with the method's source, configuration and data)"
        )
    if len(found) > 1:
        names = [f"{cell.id[:12]} {cell}" for cell in found]
        raise HarnessError(
            f"--cell {prefix}: {len(found)} cells begin so ({few(names, 3, '; ')}): give more of "
            "the id"
        )
    return found[0]
