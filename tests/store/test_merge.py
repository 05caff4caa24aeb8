"""Equal ids hold equal numbers: whatever else is refused, by merging and by writing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import harness
from test_store import OK

from harness.store.record import Failure, Record
from harness.store.store import Disagreement, Store

OTHERS: list[dict[str, Any]] = [
    {"metrics": {**(OK.metrics or {}), "top1": 50.0 + 1e-9}},
    {"details": {"loss_last": 0.25}},
    {"chosen": {"rank": 64}},
    {"retention": {}},
    {"status": "skipped", "metrics": None, "failure": Failure("not_applicable", "no", "", 1)},
]


def store_of(root: Path, *records: Record) -> Store:
    store = Store(root)
    for record in records:
        store.write(record, {"logits": np.ones(3)})
    return store


@pytest.mark.parametrize("other", OTHERS)
def test_other_numbers_are_refused_and_nothing_is_copied(
    other: dict[str, Any], tmp_path: Path
) -> None:
    ours, theirs = store_of(tmp_path / "a", OK), store_of(tmp_path / "b", replace(OK, **other))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(Disagreement, match="the cell came to other numbers"):
        ours.write(next(iter(theirs.all().records.values())))
    merged = harness("merge", tmp_path / "b", "--results", tmp_path / "a")
    assert merged.returncode == 2 and f"1 cells have other numbers in {tmp_path / 'a'}" in (
        merged.stderr
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_equal_numbers_of_another_machine_are_held_already(tmp_path: Path) -> None:
    elsewhere = replace(OK, provenance={"machine": "another"}, label="mine")
    ours = store_of(tmp_path / "a", OK)
    store_of(tmp_path / "b", elsewhere)
    merged = harness("merge", tmp_path / "b", "--results", tmp_path / "a")
    assert (merged.returncode, "0 cells added, 1 held already" in merged.stdout) == (0, True)
    assert ours.load([OK.id]).records == {OK.id: OK}, "what was here stays"


def test_what_is_not_here_comes_with_what_was_kept_of_it(tmp_path: Path) -> None:
    theirs = store_of(tmp_path / "b", OK)
    (theirs.cells / ("f" * 64 + ".json")).write_text("{")
    merged = harness("merge", tmp_path / "b", "--results", tmp_path / "a")
    assert merged.returncode == 1 and "1 cell added" in merged.stdout, "one file is no record"
    ours = Store(tmp_path / "a").all()
    assert ours.records == {OK.id: OK} and ours.logits == {OK.id} and not ours.corrupt


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    assert "no result store" in harness("merge", tmp_path, "--results", tmp_path / "a").stderr
