"""`harness score`: new measures from what was kept, and which images were won and lost."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import Run
from small_suite import SMALL, MakePlan

from harness.errors import HarnessError
from harness.measure import Scored
from harness.plan.expand import Plan
from harness.run.kept import Kept
from harness.run.per_image import class_rows, image_rows
from harness.verbs.score import score_suite

KEEP = SMALL + "keep_logits: true\n"
MINE = """\
import torch

def confidence(scored):
    return scored.logits.softmax(-1).max(-1).values.mean()

def broken(scored):
    return 1 / 0

def top1(scored):
    return 0.0

number = 3
"""


@pytest.fixture
def finished(plan_of: MakePlan, tmp_path: Path) -> Plan:
    plan = plan_of(KEEP)
    Run(plan, tmp_path / "r")
    (tmp_path / "mine.py").write_text(MINE)
    return plan


def score(plan: Plan, folder: Path, **options: Any) -> int:
    given = {"measure": (), "images": False, "out": folder / "out", "only": (), **options}
    return score_suite(plan.suite.path, folder / "r", **given)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_measures_images_and_classes(
    finished: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = f"{tmp_path}/mine.py:confidence"
    assert score(finished, tmp_path, measure=(mine, "won"), images=True) == 0
    assert "the records of 6 cells have the same numbers" in capsys.readouterr().out
    measures = rows(tmp_path / "out/measures.csv")
    # Zero-shot is carried over to the retention set from georgian; the probe is not.
    assert Counter((row["method"], row["set"]) for row in measures) == {
        ("zero_shot", "digits"): 2,
        ("zero_shot", "georgian"): 1,
        ("linear_probe", "digits"): 2,
        ("linear_probe", "georgian"): 2,
    }
    assert all(0.0 < float(row["confidence"]) <= 1.0 for row in measures)
    images, classes = rows(tmp_path / "out/images.csv"), rows(tmp_path / "out/classes.csv")
    for row in measures:
        axes = ("method", "dataset", "shots", "seed", "set")
        mine_only = [r for r in images if all(r[axis] == row[axis] for axis in axes)]
        assert sum(r["outcome"] == "won" for r in mine_only) == float(row["won"])
        of_classes = [r for r in classes if all(r[axis] == row[axis] for axis in axes)]
        assert sum(int(r["won"]) for r in of_classes) == float(row["won"])
        assert sum(int(r["images"]) for r in of_classes) == len(mine_only)


def test_a_record_that_says_something_else_is_told(
    finished: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = next(c for c in finished.cells if c.label == "linear_probe" and c.dataset == "digits")
    path = tmp_path / "r/logits" / f"{cell.id}.npz"
    with np.load(path) as kept:
        arrays = dict(kept)
    arrays["test/labels"] = np.roll(arrays["test/labels"], 7)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    assert score(finished, tmp_path) == 1
    shown = capsys.readouterr().out
    assert "not the record's number: linear_probe on digits" in shown and "top1 is" in shown


def test_what_cannot_be_scored_is_said_in_one_line(finished: Plan, tmp_path: Path) -> None:
    def message(plan: Plan = finished, folder: Path = tmp_path, **options: Any) -> str:
        with pytest.raises(HarnessError) as error:
            score(plan, folder, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    mine = f"{tmp_path}/mine.py:"
    assert 'unknown measure "topp1" (did you mean "top1"?)' in message(measure=("topp1",))
    assert '(did you mean "confidence"?)' in message(measure=(mine + "confidences",))
    assert "int is not a measure" in message(measure=(mine + "number",))
    assert 'two measures are called "top1"' in message(measure=(mine + "top1", "top1"))
    assert 'zero_shot on digits: measure "broken": ZeroDivisionError' in message(
        measure=(mine + "broken",)
    )
    assert "no cell of it is finished" in message(folder=tmp_path / "elsewhere")
    for path in (tmp_path / "r/logits").iterdir():
        path.unlink()
    assert "6 finished cells were kept: write keep_logits: true in it" in message()


def test_rows_of_images_and_classes_by_hand() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0], [4.0, 0.0]])
    frozen = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels, counts = torch.tensor([0, 0, 1, 1]), torch.tensor([3, 0, 1])
    logits, frozen = (torch.cat([x, torch.full((4, 1), -9.0)], 1) for x in (logits, frozen))
    scored = Scored(logits, frozen, labels, ("cat", "dog", "eel"), counts)
    kept = Kept(scored, ("a", "b", "c", "d"))
    found = list(image_rows(kept))
    assert [row["outcome"] for row in found] == ["lost", "kept", "won", "lost"]
    first = [found[0][column] for column in ("label", "predicted", "zero_shot")]
    assert first == ["cat", "dog", "cat"]
    chance = 1 / (1 + np.exp(-1.0) + np.exp(-10.0))
    assert float(found[0]["p_predicted"]) == pytest.approx(chance, abs=1e-4)
    assert float(found[0]["zero_shot_p_label"]) == pytest.approx(chance, abs=1e-4)
    assert found[0]["top_5"].split("; ")[0] == f"dog={chance:.4f}"
    cat, dog, eel = class_rows(kept)
    assert (cat["support"], cat["images"], cat["top1"]) == (3, 2, "50.00")
    assert (cat["zero_shot_top1"], cat["won"], cat["lost"]) == ("100.00", 0, 1)
    assert (dog["top1"], dog["zero_shot_top1"], dog["won"], dog["lost"]) == ("50.00", "50.00", 1, 1)
    assert (eel["images"], eel["top1"], eel["zero_shot_top1"]) == (0, "", "")
    alone = Kept(Scored(logits, None, labels, scored.classes, counts), kept.paths)
    assert [row["outcome"] for row in image_rows(alone)] == ["wrong", "right", "right", "wrong"]
    assert next(class_rows(alone))["won"] == "" and next(class_rows(alone))["top1"] == "50.00"
