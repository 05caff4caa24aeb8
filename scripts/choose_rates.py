"""Which configuration each method does best with on validation, over the cells of a search suite.

    python -m scripts.choose_rates [suites/search/rates.yaml] [--results DIR]

Prints, per method and candidate, the mean few-shot validation accuracy over all cells (each cell
weighs the same) and marks the best; ties go to the earlier candidate. Test figures are
refused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import click

from harness.errors import HarnessError
from harness.plan.expand import make_plan
from harness.plan.suite import load_suite
from harness.store.store import Store


@click.command()
@click.argument("suite", type=click.Path(path_type=Path), default=Path("suites/search/rates.yaml"))
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"))
def main(suite: Path, results: Path) -> None:
    """Print the mean validation accuracy of every candidate, per method."""
    try:
        plan = make_plan(load_suite(suite))
    except HarnessError as error:
        raise click.ClickException(str(error)) from None
    records = Store(results).load(cell.id for cell in plan.cells).records
    missing = len(plan.cells) - len(records)
    if missing:
        raise click.ClickException(f"{missing} cells have not run: harness run {suite}")
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records.values():
        for trial in record.search:
            if trial["on"] != "val":
                raise click.ClickException(f"{record.label} was searched on {trial['on']}")
            searched = record.identity.method.search or trial["config"]
            values = {name: trial["config"][name] for name in searched}
            found[record.label][json.dumps(values)].append(trial["top1"])
    for label, trials in found.items():
        # A search may refine around each cell's own best; only shared candidates are compared.
        cells = max(len(each) for each in trials.values())
        shared = {values: mean(each) for values, each in trials.items() if len(each) == cells}
        best = max(shared, key=lambda values: shared[values])
        print(f"{label} ({cells} cells)")
        for values, accuracy in shared.items():
            print(f"  {accuracy:6.2f} %  {values}{'  <- best' if values == best else ''}")


if __name__ == "__main__":
    main()
