"""The store: whole files or none, failures that never count as done, corruption told."""

from __future__ import annotations

import errno
import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.store.identity import (
    AugmentIdentity,
    BackboneIdentity,
    DataIdentity,
    DrawIdentity,
    Identity,
    MethodIdentity,
    StageIdentity,
)
from harness.store.record import CorruptRecord, Cost, Draw, Failure, Record, Retention
from harness.store.store import Store

IDENTITY = Identity(
    method=MethodIdentity("lora", {"rank": 2}, "ab" * 32),
    protocol="fixed",
    draw=DrawIdentity("coop", 4, 1),
    augment=AugmentIdentity((0.8, 1.0), (0.75, 1.5), False),
    backbone=BackboneIdentity("glyphs", "cd" * 32, "fp32"),
    stages=(StageIdentity(DataIdentity("digits", "ef" * 32, ("a photo of a {}.",))),),
)
OK = Record(
    id=IDENTITY.id,
    label="lora",
    identity=IDENTITY,
    status="ok",
    metrics={"images": 100, "top1": 50.0, "ece": 3.25, "lost": 5},
    retention={
        "glyph_names": Retention(
            {"images": 960, "top1": 70.0, "zero_shot_top1": 75.0, "gain": -5.0}, "rebind"
        ),
        "digits": None,
    },
    cost=Cost(1.5, 0.25, 0.0, 0, 512.0, 1024),
    draw=Draw("f" * 64, "coop", 40, "", 0),
    details={"loss_last": 0.5},
    chosen={"rank": 2},
)
FAILED = replace(
    OK,
    status="failed",
    metrics=None,
    cost=None,
    failure=Failure("method", "it broke", "Traceback …", 1),
)


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(OK, {"test/labels": np.arange(2)})
    contents = store.load([OK.id])
    assert (contents.records, contents.logits) == ({OK.id: OK}, {OK.id})
    with np.load(tmp_path / "logits" / f"{OK.id}.npz") as arrays:
        assert arrays["test/labels"].tolist() == [0, 1]


def test_a_failure_is_kept_apart_and_goes_when_the_cell_succeeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(FAILED)
    contents = store.load([OK.id])
    assert contents.records == {}
    assert contents.failures == {OK.id: FAILED}
    store.write(OK)
    contents = store.load([OK.id])
    assert contents.records == {OK.id: OK}
    assert contents.failures == {}
    assert list(store.failures.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"ece": 3.25', '"ece": "3.25"'),
        lambda text: text.replace('"ece": 3.25', '"ece": NaN'),
        lambda text: text.replace('"ece": 3.25', '"ece": Infinity'),
        lambda text: text.replace('"top1": 50.0', '"top1": "50.0"'),
        lambda text: text.replace('"top1": 50.0', '"top1": 1234.5'),
        lambda text: text.replace('"lost": 5', '"lost": -5'),
        lambda text: text.replace('"shots": 4', '"shots": "4"'),
        lambda text: text.replace('"protocol": "fixed"', '"protocol": "free"'),
        lambda text: text.replace('"ece": 3.25', '"ece": true'),
        lambda text: text.replace('"gain": -5.0', '"gain": null'),
        lambda text: text.replace('"rule"', '"role"'),
        lambda text: text.replace('"label"', '"lable"'),
        lambda text: text.replace('"schema": 2', '"schema": 0'),
        lambda text: text.replace(OK.id, "b" * 64),
        lambda text: text.replace('"name": "lora"', '"name": "dora"'),
    ],
)
def test_a_damaged_file_is_reported_and_set_aside_not_lost(tmp_path: Path, damage: Any) -> None:
    store = Store(tmp_path)
    store.write(OK)
    path = store.cells / f"{OK.id}.json"
    damaged = damage(path.read_text())
    path.write_text(damaged)
    contents = store.load([OK.id])
    assert contents.records == {}
    assert list(contents.corrupt) == [path]
    kept = store.quarantine(path)
    assert kept.read_text() == damaged
    assert not path.exists()
    path.write_text(damaged)
    assert store.quarantine(path) != kept, "an earlier damaged file is not overwritten"


def test_corruption_names_the_line() -> None:
    with pytest.raises(CorruptRecord, match="line 2: not JSON"):
        Record.from_json('{"schema": 1,\n oops}')


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write(OK)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write(replace(OK, label="other"))
    monkeypatch.undo()
    assert store.load([OK.id]).records == {OK.id: OK}
    assert [path.name for path in store.cells.iterdir()] == [f"{OK.id}.json"]


def test_a_record_with_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite number"):
        replace(OK, details={"loss": float("nan")})
    hidden = replace(OK, chosen={"loss": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        Store(tmp_path).write(hidden)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"top1": 50.0', '"top1": "50.0"', r'metrics.top1: "50.0": expected .* a number'),
        ('"top1": 50.0', '"top1": 1234.5', r"metrics: top1 is 1234.5, expected 0 to 100"),
        ('"label": "lora"', '"labl": "lora"', 'the key "label" is missing'),
        (
            '"seed": 1',
            '"seed": -1',
            "identity.draw.seed: -1: expected a whole number of at least 0",
        ),
    ],
)
def test_what_is_wrong_with_a_record_is_said_in_one_line(old: str, new: str, said: str) -> None:
    with pytest.raises(CorruptRecord, match=said) as caught:
        Record.from_json(OK.to_json().replace(old, new))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"schema": 2', '"schema": 3', "result schema 3, here 2"),
        ('"work": {}', '"work": {}, "joules": 5.0', 'a key "cost.joules"'),
    ],
)
def test_a_record_of_a_later_version_is_neither_read_nor_called_damaged(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    store = Store(tmp_path)
    store.write(OK)
    path = store.cells / f"{OK.id}.json"
    path.write_text(path.read_text().replace(old, new))
    contents = store.load([OK.id])
    assert (contents.records, contents.corrupt) == ({}, {})
    assert said in contents.later[path]


@pytest.mark.parametrize("folder", ["cells", "failures"])
def test_a_store_of_an_older_schema_is_refused_and_left_alone(tmp_path: Path, folder: str) -> None:
    old = tmp_path / folder / f"{'a' * 64}.json"
    old.parent.mkdir()
    old.write_text('{"schema": 1}')
    for touch in (lambda store: store.load([]), lambda store: store.write(OK)):
        with pytest.raises(HarnessError, match=r"schema 1, .* --results, or move") as caught:
            touch(Store(tmp_path))
        assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]


def test_looking_into_a_store_that_does_not_exist_creates_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").all().records == {}
    assert not (tmp_path / "none").exists()


def test_a_record_that_was_kept_in_memory_follows_its_file(tmp_path: Path) -> None:
    reader, writer = Store(tmp_path), Store(tmp_path)
    writer.write(OK)
    first = reader.load([OK.id]).records[OK.id]
    assert reader.load([OK.id]).records[OK.id] is first  # not read again
    other = replace(OK, label="another")
    writer.write(other)
    assert reader.load([OK.id]).records == {OK.id: other}
    path = writer.cells / f"{OK.id}.json"
    path.write_text("half a rec")
    contents = reader.load([OK.id])
    assert contents.records == {} and list(contents.corrupt) == [path]
    reader.quarantine(path)
    assert reader.load([OK.id]).records == {}


def test_loading_leaves_garbage_collection_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(OK)
    store.load([OK.id])
    assert gc.isenabled()
    gc.disable()
    try:
        store.load([OK.id])
        assert not gc.isenabled()
    finally:
        gc.enable()
