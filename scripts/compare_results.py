"""Whether two runs came to the same numbers, cell by cell.

    python -m scripts.compare_results A B

A and B are each a store (`results`, of any result schema) or a `cells.csv` of a report. Cells are
matched by label, data set, draw, protocol, sampler, backbone and names of retention sets, since
ids differ between schemas and versions of a method. Prints every cell whose status, top-1 or
accuracy on a retention set differs, by however little, and every cell that only one side has; exit
status 1 where there is one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

AXES = ("label", "dataset", "shots", "seed", "protocol", "sampler", "backbone")
FOLDERS = ("cells", "failures")
COLUMNS = (*AXES, "status", "top1", "not_transferable")
NOT_SETS = ("retention_mean_change",)


@dataclass(frozen=True)
class Numbers:
    """What a cell came to; equal where two runs agree."""

    status: str
    top1: float | None
    retention: Mapping[str, float | None]

    def against(self, other: Numbers) -> list[str]:
        """What differs, in words."""
        pairs = {"status": (self.status, other.status), "top-1": (self.top1, other.top1)}
        for name in sorted({*self.retention, *other.retention}):
            pairs[name] = (self.retention.get(name), other.retention.get(name))
        return [f"{what} {a} against {b}" for what, (a, b) in pairs.items() if a != b]


Key = tuple[str, ...]


def read(path: Path) -> dict[Key, Numbers]:
    """Every cell of a store or a `cells.csv`.

    Raises:
        ClickException: neither of the two, or a cell stands in it twice with different numbers.
    """
    if path.is_file():
        rows = _rows_of_csv(path)
    elif any((path / folder).is_dir() for folder in FOLDERS):
        rows = _rows_of_store(path)
    else:
        raise click.ClickException(f"{path}: neither a store (it has no cells/) nor a cells.csv")
    found: dict[Key, Numbers] = {}
    for key, numbers in rows:
        if found.setdefault(key, numbers) != numbers:
            raise click.ClickException(
                f"{path}: {name_of(key)} stands in it twice, with different numbers: "
                "compare the cells.csv of a report, or a store that one suite filled"
            )
    return found


def _rows_of_csv(path: Path) -> Iterator[tuple[Key, Numbers]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        lacking = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if lacking:
            raise click.ClickException(f"{path}: no cells.csv: no column {', '.join(lacking)}")
        for row in rows:
            sets = [name for name in row if name.startswith("retention_") and name not in NOT_SETS]
            retention = {
                name.removeprefix("retention_"): _number(row[name])
                for name in sets
                if not name.endswith("_change")
            }
            known = {name: value for name, value in retention.items() if value is not None}
            without = filter(None, row["not_transferable"].split(";"))
            numbers = Numbers(row["status"], _number(row["top1"]), known)
            yield (*(row[name] for name in AXES), *sorted({*known, *without})), numbers


def _rows_of_store(path: Path) -> Iterator[tuple[Key, Numbers]]:
    for folder in FOLDERS:
        for file in sorted((path / folder).glob("*.json")):
            try:
                record = json.loads(file.read_text(encoding="utf-8"))
                row = _key_of(record), _numbers_of(record)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise click.ClickException(f"{file}: not a whole record") from None
            yield row


def _numbers_of(record: Mapping[str, Any]) -> Numbers:
    sets = record["retention"].items()
    known = {name: kept.get("metrics", kept)["top1"] for name, kept in sets if kept}
    return Numbers(record["status"], (record["metrics"] or {}).get("top1"), known)


def _key_of(record: Mapping[str, Any]) -> Key:
    axes = _axes_of_schema_1(record) if record["schema"] == 1 else _axes_of(record)
    return (record["label"], *map(str, axes), *sorted(record["retention"]))


def _axes_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    cell = record["identity"]
    draw = cell.get("draw") or {"shots": 0, "seed": 0, "sampler": "none"}
    name, sampler = cell["stages"][-1]["adapt"]["name"], draw["sampler"].partition(":")[0]
    axes = (name, draw["shots"], draw["seed"], cell["protocol"], sampler)
    return (*axes, cell["backbone"]["name"])


def _axes_of_schema_1(record: Mapping[str, Any]) -> tuple[Any, ...]:
    cell = record["cell"]
    axes = (cell["dataset"]["name"], cell["shots"], cell["seed"], cell["protocol"])
    return (*axes, cell["sampler"].partition(":")[0], cell["backbone"]["name"])


def _number(text: str) -> float | None:
    return float(text) if text else None


def name_of(key: Key) -> str:
    """A cell in words."""
    label, dataset, shots, seed, protocol, *_ = key
    return f"{label} on {dataset}, shots={shots}, seed={seed}, {protocol}"


@click.command()
@click.argument("a", type=click.Path(path_type=Path, exists=True))
@click.argument("b", type=click.Path(path_type=Path, exists=True))
def main(a: Path, b: Path) -> None:
    """Compare the numbers of two stores or cells.csv files, cell by cell."""
    one, two = read(a), read(b)
    differences = []
    for key in sorted({*one, *two}):
        if key not in one or key not in two:
            differences.append(f"{name_of(key)}: only in {a if key in one else b}")
        elif why := one[key].against(two[key]):
            differences.append(f"{name_of(key)}: {'; '.join(why)}")
    for line in differences:
        click.echo(line)
    same = len({*one} & {*two})
    click.echo(f"{same:,} cells in both; {len(differences):,} differences")
    raise SystemExit(1 if differences else 0)


if __name__ == "__main__":
    main()
