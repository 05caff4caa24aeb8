"""What searches tried: candidates with their accuracies, and which of them were chosen."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from harness.reports.study import Study
from harness.store.record import Record

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
    """Sentences on rows whose searches often ended at the smallest or largest value they tried.

    Of at least three numbers, in a quarter of the cells, and where no value between was as good:
    the best may lie outside of the grid.
    """
    found: dict[str, dict[str, list[int]]] = {}
    names = settings(study)
    for row, *_, cell_id in _cells(study):
        for key in names[row]:
            counts = found.setdefault(row, {}).setdefault(key, [0, 0])
            counts[0] += 1
            counts[1] += _at_edge(study.records[cell_id], key)
    said = []
    for row, keys in found.items():
        ends = [f"{key} in {n} of {of}" for key, (of, n) in keys.items() if n * 4 >= of and n]
        if ends:
            said.append(
                f"{row}: searches ended at the edge of what they tried, with nothing as good "
                f"between ({', '.join(ends)}): a better value may lie outside."
            )
    return said


def _at_edge(record: Record, key: str) -> bool:
    """Whether all of the best candidates have the smallest or the largest value of a setting."""
    tried: list[tuple[float, float]] = [
        (trial["config"][key], trial["top1"])
        for trial in record.search
        if type(trial["config"].get(key)) in (int, float)
    ]
    values = {value for value, _ in tried}
    if len(values) < 3:
        return False
    best = max(top1 for _, top1 in tried)
    return {value for value, top1 in tried if top1 == best} <= {min(values), max(values)}


def words(candidate: str) -> str:
    """A candidate for people: "lr = 0.01, steps = 90"."""
    return ", ".join(f"{key} = {plain(value)}" for key, value in json.loads(candidate).items())


def plain(value: Any) -> str:
    """A value for people: three digits of a fraction."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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
