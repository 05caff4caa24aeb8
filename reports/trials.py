"""What searches tried: candidates with their accuracies, and which of them were chosen."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from harness.reports.study import Study

_COLUMNS = ["row", "dataset", "shots", "seed", "cell_id", "candidate", "top1", "on", "chosen"]


def trials(study: Study) -> pd.DataFrame:
    """One row per candidate that a search tried, in the order of its trying.

    Columns: row, dataset, shots, seed, cell_id, candidate (the settings that were searched, as
    JSON), top1 (percent), on ("val" or "test"), chosen.
    """
    names = settings(study)
    found = []
    for row, dataset, shots, seed, cell_id in _cells(study):
        record = study.records[cell_id]
        chosen = _candidate(record.chosen, names[row])
        for trial in record.search:
            tried = _candidate(trial["config"], names[row])
            result = (tried, float(trial["top1"]), trial["on"], tried == chosen)
            found.append((row, dataset, shots, seed, cell_id, *result))
    return pd.DataFrame(found, columns=_COLUMNS)


def settings(study: Study) -> dict[str, list[str]]:
    """Per row the settings that its searches varied, in the order of the configuration."""
    values: dict[str, dict[str, set[str]]] = {}
    for row, *_, cell_id in _cells(study):
        of = values.setdefault(row, {})
        for trial in study.records[cell_id].search:
            for key, value in trial["config"].items():
                of.setdefault(key, set()).add(json.dumps(value))
    return {row: [key for key, tried in of.items() if len(tried) > 1] for row, of in values.items()}


def candidates(study: Study) -> pd.DataFrame:
    """One row per setting that a search varied: columns row, setting, value, cells, chosen.

    `value` as JSON; `cells`, how many tried it; `chosen`, how many chose it.
    """
    found: dict[tuple[str, str, str], list[int]] = {}
    names = settings(study)
    for row, *_, cell_id in _cells(study):
        record = study.records[cell_id]
        for key in names[row]:
            tried = {json.dumps(trial["config"].get(key)) for trial in record.search}
            best = json.dumps(record.chosen.get(key))
            for value in tried:
                counts = found.setdefault((row, key, value), [0, 0])
                counts[0] += 1
                counts[1] += value == best
    keys = sorted(found, key=lambda key: (*key[:2], _order(key[2])))
    columns = ["row", "setting", "value", "cells", "chosen"]
    return pd.DataFrame([(*key, *found[key]) for key in keys], columns=columns)


def edges(study: Study) -> list[str]:
    """Sentences on settings whose chosen value is often the smallest or the largest one tried.

    Of at least three numbers, and for a tenth of the cells: the best may lie outside of the grid.
    """
    said = []
    for (row, key), values in candidates(study).groupby(["row", "setting"], sort=False):
        numbers = [json.loads(value) for value in values["value"]]
        if len(numbers) < 3 or not all(isinstance(v, int | float) for v in numbers):
            continue
        of = int(values["cells"].max())
        for end, place in (("smallest", 0), ("largest", -1)):
            times = int(values["chosen"].iloc[place])
            if times * 10 >= of:
                said.append(
                    f"{row}: {times} of {of} searches chose the {end} {key} tried, "
                    f"{numbers[place]:g}: a better value may lie outside of the grid."
                )
    return said


def words(candidate: str) -> str:
    """A candidate for people: "lr = 0.01, steps = 90"."""
    return ", ".join(f"{key} = {_plain(value)}" for key, value in json.loads(candidate).items())


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cells(study: Study) -> list[tuple[str, str, int, int, str]]:
    """Row, data set, shots, seed and id of the finished cells that searched."""
    done = study.frame[(study.frame["status"] == "ok") & (study.frame["evaluations"] > 0)]
    names = ("row", "dataset", "shots", "seed", "cell_id")
    return list(zip(*(done[name].tolist() for name in names), strict=True))


def _candidate(config: dict[str, Any], names: list[str]) -> str:
    return json.dumps({key: config.get(key) for key in names})


def _order(value: str) -> tuple[bool, float, str]:
    """Numbers by size, then the rest by name."""
    found = json.loads(value)
    numeric = isinstance(found, int | float) and not isinstance(found, bool)
    return not numeric, float(found) if numeric else 0.0, value
