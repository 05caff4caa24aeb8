"""The script that shows that numbers stand: it must find any difference, and none where none is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.store.identity import (
    BackboneIdentity,
    DataIdentity,
    DrawIdentity,
    HeldOutIdentity,
    Identity,
    MethodIdentity,
    StageIdentity,
)
from harness.store.record import Record, Retention
from scripts.compare_results import main


def schema_1(seed: int, top1: float | None, kept: float | None) -> dict[str, Any]:
    """A record as stores of the first schema have it, with what is not read left out."""
    return {
        "schema": 1,
        "label": "lora",
        "cell": {
            "backbone": {"name": "glyphs"},
            "dataset": {"name": "digits"},
            "shots": 4,
            "seed": seed,
            "protocol": "fixed",
            "sampler": "coop",
        },
        "status": "ok" if top1 is not None else "failed",
        "metrics": None if top1 is None else {"top1": top1},
        "retention": {"letters": None if kept is None else {"top1": kept}},
    }


def schema_2(seed: int, top1: float, kept: float) -> dict[str, Any]:
    """The same cell as this version writes it."""
    digits, letters = (DataIdentity(name, "ab" * 32, ("a {}",)) for name in ("digits", "letters"))
    identity = Identity(
        method=MethodIdentity("lora", {}, "cd" * 32),
        protocol="fixed",
        draw=DrawIdentity("coop", 4, seed),
        backbone=BackboneIdentity("glyphs", "ef" * 32, "fp32"),
        stages=(StageIdentity(digits, (HeldOutIdentity(letters),)),),
    )
    found = {"letters": Retention({"top1": kept}, "rebind")}
    record = Record(identity.id, "lora", identity, "ok", {"top1": top1}, found)
    written: dict[str, Any] = json.loads(record.to_json())
    return written


def store(folder: Path, *records: dict[str, Any]) -> Path:
    for number, record in enumerate(records):
        place = folder / ("failures" if record["status"] == "failed" else "cells")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.json").write_text(json.dumps(record))
    return folder


def table(path: Path, *rows: str) -> Path:
    head = "label,dataset,shots,seed,protocol,sampler,backbone,status,top1,not_transferable,"
    head += "retention_letters,retention_letters_change,retention_mean_change"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def compare(a: Path, b: Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(a), str(b)])
    return done.exit_code, done.output


def test_a_store_and_its_table_agree(tmp_path: Path) -> None:
    a = store(tmp_path / "a", schema_1(1, 100 / 3, 50.5), schema_1(2, 40.0, None))
    line = "lora,digits,4,{},fixed,coop,glyphs,ok,{},{},{},0.0,0.0"
    one, two = line.format(1, 100 / 3, "", 50.5), line.format(2, 40.0, "letters", "")
    assert compare(a, table(tmp_path / "cells.csv", one, two)) == (
        0,
        "2 cells in both; 0 differences\n",
    )


def test_stores_of_two_schemas_are_compared(tmp_path: Path) -> None:
    old = store(tmp_path / "old", schema_1(1, 40.0, 50.5), schema_1(2, 41.0, 50.5))
    new = store(tmp_path / "new", schema_2(1, 40.0, 50.5), schema_2(2, 41.0, 50.5))
    assert compare(old, new) == (0, "2 cells in both; 0 differences\n")
    moved = store(tmp_path / "moved", schema_2(1, 40.0, 50.5), schema_2(2, 41.0, 50.0))
    status, output = compare(old, moved)
    assert status == 1 and "seed=2, fixed: letters 50.5 against 50.0" in output


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (schema_1(1, 40.000000000000007, 50.5), "top-1 40.0 against 40.00000000000001"),
        (schema_1(1, 40.0, 50.0), "letters 50.5 against 50.0"),
        (schema_1(1, 40.0, None), "letters 50.5 against None"),
        (schema_1(1, None, 50.5), "status ok against failed"),
        (schema_1(3, 40.0, 50.5), "seed=3, fixed: only in"),
    ],
)
def test_every_difference_is_named(tmp_path: Path, other: dict[str, Any], said: str) -> None:
    status, output = compare(
        store(tmp_path / "a", schema_1(1, 40.0, 50.5)), store(tmp_path / "b", other)
    )
    assert status == 1
    assert said in output


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    good = store(tmp_path / "a", schema_1(1, 40.0, 50.5))
    twice = store(tmp_path / "b", schema_1(1, 40.0, 50.5), schema_1(1, 41.0, 50.5))
    bad = store(tmp_path / "c", schema_1(1, 40.0, 50.5))
    (bad / "cells" / "x.json").write_text("{}")
    (tmp_path / "other.csv").write_text("a,b\n")
    for wrong, said in {
        twice: "stands in it twice",
        bad: "x.json: not a whole record",
        tmp_path / "other.csv": "no column label",
    }.items():
        status, output = compare(good, wrong)
        assert status == 1
        assert said in output
