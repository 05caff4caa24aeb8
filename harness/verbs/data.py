"""`harness data check` and `harness data fetch`: the field's data sets on this machine."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


def check_data(root: Path, names: tuple[str, ...], decode: bool) -> int:
    """Print what is there and what is missing; 1 unless every set asked for is complete.

    Without names all known sets are looked for, and those that are absent do not count as wrong.
    """
    from harness.datasets.fetch.check import check

    findings = check(root, names, decode)
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
