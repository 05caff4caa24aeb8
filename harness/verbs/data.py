"""`harness data check` and `harness data fetch`: the field's data sets on this machine."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


def check_data(root: Path, names: tuple[str, ...], decode: bool, near: float | None = None) -> int:
    """Print what is there and what is missing; 1 unless every set asked for is complete.

    Without names all known sets are looked for, and those that are absent do not count as wrong;
    where there is none of them, the path is read as a data set of one's own.
    """
    from harness.datasets.fetch.check import check

    if not names and root.is_file():
        return _check_own(root, decode, near)
    findings = check(root, names, decode)
    if (
        not names
        and all(finding.status == "absent" for finding in findings)
        and any(root.iterdir())
    ):
        return _check_own(root, decode, near)
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print("\n".join(finding.lines()), markup=False)
    wrong = [f for f in findings if f.status != "complete" and (names or f.status != "absent")]
    complete = sum(finding.status == "complete" for finding in findings)
    console.print(f"{complete} of {len(findings)} complete", markup=False)
    if all(finding.status == "absent" for finding in findings):
        console.print(
            f"{root} holds no folder of a known data set: is it the one that does?", markup=False
        )
    return 1 if wrong else 0


def _check_own(path: Path, decode: bool, near: float | None) -> int:
    from harness.datasets.fetch.own import check_own, own_spec

    lines, right = check_own(own_spec(path), decode, near)
    Console(highlight=False, soft_wrap=True).print("\n".join(lines), markup=False)
    return 0 if right else 1


def print_split(root: Path, seed: int, test: float, val: float) -> int:
    """Print a split made by a seed as a `split.json`."""
    from pydantic import ValidationError

    from harness.datasets import DatasetError
    from harness.datasets.class_folders import load_class_folders
    from harness.datasets.made_split import MadeSplit, split_json
    from harness.wording import one_line

    try:
        how = MadeSplit(seed=seed, test=test, val=val)
    except ValidationError as error:
        raise DatasetError(one_line(error)) from None
    print(split_json(load_class_folders(root.name, root, how)))
    return 0


def fetch_data(name: str, root: Path) -> int:
    """Download a data set into the layout that the adapters read."""
    from harness.datasets.fetch.fetch import fetch

    console = Console(highlight=False, soft_wrap=True)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        fetched = fetch(
            name, root, lambda done, total: progress.update(task, completed=done, total=total)
        )
    said = "fetched into" if fetched.downloaded else "already in"
    console.print(f"{name}: {said} {fetched.folder}", markup=False)
    if fetched.still_needed:
        console.print(fetched.still_needed, markup=False)
    return 0
