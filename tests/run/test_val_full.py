"""`val: full`: the search sees the whole validation split, and nobody can overlook it."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import ONE_SET, Run, with_plugin
from small_suite import SMALL, MakePlan

from harness.datasets import load_dataset
from harness.errors import HarnessError
from harness.run.prepared import Prepared
from harness.run.resources import Resources

SEARCH = "backbone: glyphs\nprotocol: val_search"
FULL = f"{SEARCH}\nval: full"


def test_a_cell_of_its_own_protocol_and_id(plan_of: MakePlan) -> None:
    few = plan_of(SMALL.replace("backbone: glyphs", SEARCH))
    written = plan_of(SMALL.replace("backbone: glyphs", f"{SEARCH}\nval: few_shot"))
    full = plan_of(SMALL.replace("backbone: glyphs", FULL))
    assert [c.id for c in few.cells] == [c.id for c in written.cells], "the default written out"
    assert {c.protocol for c in full.cells if c.shots} == {"val_full"}
    shared = {c.id for c in few.cells} & {c.id for c in full.cells}
    assert shared == {c.id for c in full.cells if not c.shots}, "only zero-shot is the same cell"


@pytest.mark.parametrize("protocol", ["fixed", "oracle"])
def test_it_belongs_to_val_search_only(plan_of: MakePlan, protocol: str) -> None:
    text = SMALL.replace("backbone: glyphs", f"backbone: glyphs\nprotocol: {protocol}\nval: full")
    with pytest.raises(HarnessError, match=f"only for protocol: val_search .found .* {protocol}"):
        plan_of(text)


def test_the_record_counts_the_labels(plan_of: MakePlan, tmp_path: Path) -> None:
    text = with_plugin("Chooser", text=ONE_SET).replace("backbone: glyphs", FULL)
    plan = plan_of(text).keep(lambda cell: cell.label == "chooser")
    run = Run(plan, tmp_path / "r")
    (record,) = run.contents.records.values()
    val = load_dataset("digits").items("val")
    assert record.draw is not None
    assert (record.draw.images, record.draw.val_images) == (10, len(val))
    assert record.identity.protocol == "val_full"
    # The chooser always predicts its class: its accuracy is that class's share of the split.
    for trial in record.search:
        guess = trial["config"]["guess"]
        share = sum(item.label == guess for item in val) / len(val)
        assert trial["top1"] == pytest.approx(100 * share)


def test_of_half_the_classes_the_whole_val_split_is_theirs(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan = plan_of(SMALL.replace("backbone: glyphs", FULL) + "setting: base_to_new\n")
    cell = next(c for c in plan.cells if c.dataset == "digits-base" and c.shots)
    episode = Prepared(cell, Resources(tmp_path, "cpu")).stages[0].draw
    wanted = [item for item in load_dataset("digits").items("val") if item.label < 5]
    assert list(episode.val) == wanted
