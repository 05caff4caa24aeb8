"""Content ids: everything that can change a number is in them, and nothing else."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
from command import harness
from running import PLUGINS
from small_suite import SMALL, MakePlan

from harness.errors import HarnessError
from harness.plan.expand import make_plan
from harness.plan.methods import method_source
from harness.plan.select import only
from harness.plan.standing import progress
from harness.plan.suite import load_suite
from harness.store.record import Record
from harness.store.store import Contents


def ids(plan: object) -> set[str]:
    return {cell.id for cell in plan.cells}  # type: ignore[attr-defined]


def test_the_grid_is_the_product_and_zero_shot_runs_once_a_data_set(plan_of: MakePlan) -> None:
    cells = plan_of().cells
    assert len(cells) == 2 * (1 + 2)
    assert [(c.shots, c.seed) for c in cells if c.method == "zero_shot"] == [(0, 0), (0, 0)]
    assert [c.dataset for c in cells] == sorted(c.dataset for c in cells), "grouped by data set"


def test_a_cell_is_not_its_own_retention_set(plan_of: MakePlan) -> None:
    for cell in plan_of().cells:
        names = [spec.name for spec in cell.places[0].held_out]
        assert names == ([] if cell.dataset == "digits" else ["digits"])


def test_ids_do_not_depend_on_labels_paths_names_or_order(plan_of: MakePlan) -> None:
    plain = ids(plan_of())
    labelled = SMALL.replace("{name: linear_probe}", "{name: linear_probe, label: LP}")
    assert ids(plan_of(labelled)) == plain
    assert ids(plan_of("name: other\ndescription: words\n" + SMALL, "other.yaml")) == plain
    assert ids(plan_of(SMALL.replace("[digits, georgian]", "[georgian, digits]"))) == plain
    default = SMALL.replace("{name: linear_probe}", "{name: linear_probe, config: {C: 1.0}}")
    assert ids(plan_of(default)) == plain, "a default written out is the same configuration"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seeds: [1]", "seeds: [2]"),
        ("[0.8, 1.0]", "[0.7, 1.0]"),
        ("backbone: glyphs", "backbone: glyphs\nprecision: bf16"),
        ("backbone: glyphs", "backbone: glyphs\nsampler: clip_lora"),
        ("backbone: glyphs", "backbone: glyphs\nprotocol: val_search"),
        ("backbone: glyphs", 'backbone: glyphs\ntemplates: ["{}"]'),
        ("linear_probe}", "linear_probe, config: {C: 2.0}}"),
    ],
)
def test_whatever_can_change_a_number_changes_the_id(plan_of: MakePlan, old: str, new: str) -> None:
    before = {c.id for c in plan_of().cells if c.shots}
    assert not before & {c.id for c in plan_of(SMALL.replace(old, new)).cells if c.shots}


def test_lists_are_grids_with_a_label_each(plan_of: MakePlan) -> None:
    text = SMALL.replace("{name: linear_probe}", "{name: linear_probe, config: {C: [0.1, 10]}}")
    labels = {cell.label for cell in plan_of(text).cells}
    assert labels == {"zero_shot", "linear_probe(C=0.1)", "linear_probe(C=10)"}


def test_growing_the_grid_keeps_the_old_cells(plan_of: MakePlan) -> None:
    assert ids(plan_of()) < ids(plan_of(SMALL.replace("seeds: [1]", "seeds: [1, 2]")))


def test_editing_a_method_changes_exactly_its_cells(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    shutil.copy(PLUGINS, mine)
    other = tmp_path / "other.py"
    shutil.copy(PLUGINS, other)
    suite = tmp_path / "s.yaml"
    suite.write_text(SMALL + "  - mine.py:Slow\n  - {name: 'other.py:Fails', label: other}\n")
    before = {cell.label: cell.id for cell in make_plan(load_suite(suite)).cells}
    mine.write_text(mine.read_text() + "\n# edited\n")
    after = {cell.label: cell.id for cell in make_plan(load_suite(suite)).cells}
    assert {label for label in before if before[label] != after[label]} == {"slow"}


def test_a_family_file_belongs_to_the_methods_built_on_it() -> None:
    lora, comp = method_source("lora"), method_source("comp_lora")
    assert lora != comp
    assert method_source("zero_shot") not in {lora, comp}


def test_done_failed_stale_and_new(plan_of: MakePlan) -> None:
    plan = plan_of()
    done, failed, stale, new, later = plan.cells[:5]

    def record(cell: object, cell_id: str, status: str) -> Record:
        return Record(cell_id, cell.label, cell.identity, status)  # type: ignore

    contents = Contents(
        records={done.id: record(done, done.id, "ok")},
        failures={failed.id: record(failed, failed.id, "failed")},
        later={Path(f"{later.id}.json"): "written by a later version"},
    )
    method = dataclasses.replace(stale.identity.method, source="0" * 64)
    older = dataclasses.replace(stale, identity=dataclasses.replace(stale.identity, method=method))
    found = progress(plan, contents, [record(older, older.id, "ok")])
    assert [c.id for c in found.done] == [done.id]
    assert [c.id for c in found.failed] == [failed.id]
    assert [c.id for c in found.stale] == [stale.id]
    assert new.id in {c.id for c in found.new}
    assert [c.id for c in found.later] == [later.id]
    assert len(found.to_do) == len(plan.cells) - 2, "neither what is done nor what cannot be judged"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: linear_probe}", "{name: linear_probe, config: {C: 2.0}}"),
        ("flip: false", "flip: true"),
        ("retention: [digits]", 'retention: [digits]\ntemplates: ["a {}"]'),
        ("backbone: glyphs", "backbone: glyphs\nprecision: bf16"),
    ],
)
def test_cells_that_ran_under_other_settings_are_not_stale(
    plan_of: MakePlan, old: str, new: str
) -> None:
    ran = [Record(c.id, c.label, c.identity, "ok") for c in plan_of(SMALL.replace(old, new)).cells]
    found = progress(plan_of(), Contents({record.id: record for record in ran}), ran)
    assert not found.stale and found.new


def test_plan_says_whether_cells_wait_or_are_done(tmp_path: Path) -> None:
    suite = tmp_path / "s.yaml"
    suite.write_text(SMALL.replace("[digits, georgian]", "[{name: dtd, root: gone}]"))
    said = " ".join(harness("plan", suite, "--results", tmp_path / "r").stdout.split())
    assert "none of the 3 cells can run here: all of them wait" in said
    assert "0 cells to run" not in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[digits, georgian]", "[digits, gorgian]", [":2:", '"gorgian"', '"georgian"']),
        ("- zero_shot", "- zero_shoot", [":8:", '"zero_shoot"', '"zero_shot"']),
        ("{name: linear_probe}", "{name: linear_probe, config: {c: 1}}", [":9:", '"c"', '"C"']),
        ("{name: linear_probe}", "{name: linear_probe, config: {C: x}}", [":9:", '"x": expected']),
        (
            "{name: linear_probe}",
            "{name: coop, config: {steps: true}}",
            [":9:", "steps: true: expe"],
        ),
        (
            "{name: linear_probe}",
            "{name: coop, config: {lr: '0.1'}}",
            [":9:", 'lr: "0.1": expected'],
        ),
        (
            "{name: linear_probe}",
            "{name: coop, config: {steps: 0.5}}",
            [":9:", "steps: 0.5: expec"],
        ),
        ("{name: linear_probe}", "{name: lora, config: {rank: .nan}}", [":9:", "rank: .nan: exp"]),
        ("{name: linear_probe}", "{name: linear_probe, config: {C: []}}", [":9:", "empty"]),
        ("{name: linear_probe}", "zero_shot", [":9:", 'labelled "zero_shot"']),
        ("- zero_shot", "- nowhere.py:X", [":8:", "nowhere.py", "no such file"]),
        ("[digits, georgian]", "[glyph_names]", [":2:", 'no "train" split', "retention"]),
        ("- zero_shot", "- {name: lora, search: {lr: [1.0]}}", [":8:", "only under protocol"]),
        ("- zero_shot", "- {name: linear_probe, label: LP}", [":9:", "same configuration"]),
        (
            "{name: linear_probe}",
            "{name: linear_probe, config: {C: .inf}}",
            [":9:", "C: .inf: expected a finite"],
        ),
        ("backbone: glyphs", "backbone: glyfs", [":1:", '"glyfs"']),
    ],
)
def test_bad_names_and_settings_name_line_and_fix(
    plan_of: MakePlan, old: str, new: str, words: list[str]
) -> None:
    with pytest.raises(HarnessError) as caught:
        plan_of(SMALL.replace(old, new))
    for word in words:
        assert word in str(caught.value)


def test_only_keeps_what_answers_and_the_zero_shot_rows(plan_of: MakePlan) -> None:
    chosen = only(plan_of(), ["dataset=digits", "shots=2"])
    assert [str(c) for c in chosen.cells] == [
        "zero_shot on digits",
        "linear_probe on digits shots=2 seed=1",
    ]


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["label=zero_shot,linear_probe"], {"zero_shot", "linear_probe"}),
        (["label=zero_shot, linear_probe"], {"zero_shot", "linear_probe"}),
        (["label=a, b"], {"a, b"}),
        (["label=a, b,zero_shot"], {"a, b", "zero_shot"}),
        (["label=zero_shot,a, b"], {"a, b", "zero_shot"}),
        (["label=coop(steps=1, lr=0.1),a, b"], {"coop(steps=1, lr=0.1)", "a, b"}),
        (["label=zero_shot", "label=linear_probe"], {"zero_shot", "linear_probe"}),
        (
            ["method=coop,zero_shot"],
            {"zero_shot", "coop(steps=1, lr=0.1)", "coop(steps=2, lr=0.1)"},
        ),
    ],
)
def test_only_takes_several_values_of_every_key(
    plan_of: MakePlan, words: list[str], labels: set[str]
) -> None:
    grid = "  - {name: coop, config: {steps: [1, 2], lr: [0.1]}}\n"
    plan = plan_of(SMALL + "  - {name: nearest_class_mean, label: 'a, b'}\n" + grid)
    assert {cell.label for cell in only(plan, words).cells} == labels


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("label=zero_shot,liner_probe", 'no cell has label "liner_probe" (did you mean "linear'),
        ("dataset", "key=value"),
        ("dataset=", "key=value"),
        ("datset=digits", 'did you mean "dataset"?'),
        ("dataset=digts", 'did you mean "digits"?'),
        ("shots=3", "(known: 1, 2)"),
        ("shots=0", "(known: 1, 2)"),
    ],
)
def test_only_refuses_what_no_cell_answers(plan_of: MakePlan, word: str, said: str) -> None:
    with pytest.raises(HarnessError, match=re.escape(said)):
        only(plan_of(), [word])


def test_the_order_of_retention_sets_changes_no_id(plan_of: MakePlan) -> None:
    one = SMALL.replace("retention: [digits]", "retention: [digits, glyph_names]")
    two = SMALL.replace("retention: [digits]", "retention: [glyph_names, digits]")
    assert ids(plan_of(one)) == ids(plan_of(two))


def test_a_draw_from_a_file_is_identified_by_its_content(plan_of: MakePlan, tmp_path: Path) -> None:
    text = SMALL.replace("shots: [1, 2]", "shots: [1]") + "sampler: file:draw.jsonl\n"
    with pytest.raises(HarnessError, match=r"draw\.jsonl: No such file"):
        plan_of(text)
    row = '{"impath": "a.png", "label": 0, "classname": "zero"}'
    (tmp_path / "draw.jsonl").write_text(row + "\n")
    before = ids(plan_of(text))
    (tmp_path / "draw.jsonl").write_text(row.replace("a.png", "b.png") + "\n")
    assert len(before & ids(plan_of(text))) == 2, "only zero-shot keeps its id"


def test_base_to_new_adapts_to_one_half_and_holds_the_other_out(plan_of: MakePlan) -> None:
    plan = plan_of(SMALL + "setting: base_to_new\n")
    assert {c.dataset for c in plan.cells} == {"digits-base", "georgian-base"}
    for cell in plan.cells:
        assert cell.places[0].held_out[0].name == cell.dataset.replace("base", "new")
