"""A cell is opened once: its draw is made once, for all its candidates and for other methods."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from running import ONE_SET
from small_suite import MakePlan

from harness.datasets import load_dataset
from harness.datasets.samplers import Coop
from harness.run.cell import run_cell
from harness.run.resources import Resources


def test_a_draw_is_made_once_for_all_methods_and_candidates(
    plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Counter[int] = Counter()
    coop = Coop.draw

    def counting(self: Coop, train: Any, val: Any, shots: int, rng: Any) -> Any:
        made[shots] += 1
        return coop(self, train, val, shots, rng)

    monkeypatch.setattr(Coop, "draw", counting)
    searched = ONE_SET.replace("backbone: glyphs", "backbone: glyphs\nprotocol: val_search")
    searched += "  - {name: tip_adapter, search: {alpha: [0.5, 1.0, 2.0]}}\n"
    resources = Resources(tmp_path, "cpu")
    records = [run_cell(cell, resources).record for cell in plan_of(searched).cells]
    assert {record.status for record in records} == {"ok"}
    assert len({record.draw.id for record in records if record.draw and record.draw.images}) == 1
    assert made == {1: 1}


def test_a_record_says_how_many_classes_gave_fewer_images_than_shots(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    every = Counter(item.label for item in load_dataset("cards").items("train"))
    text = ONE_SET.replace("[digits]", "[cards]", 1).replace("linear_probe", "nearest_class_mean")
    resources = Resources(tmp_path, "cpu")
    for shots, short in ((1, 0), (max(every.values()) + 1, len(every))):
        frozen, cell = plan_of(text.replace("shots: [1]", f"shots: [{shots}]")).cells
        draw, none = (run_cell(one, resources).record.draw for one in (cell, frozen))
        assert draw is not None and none is not None
        assert draw.images == sum(min(shots, count) for count in every.values())
        assert (draw.classes, draw.classes_short) == (len(every), short)
        assert (none.images, none.classes, none.classes_short) == (0, 0, 0)
