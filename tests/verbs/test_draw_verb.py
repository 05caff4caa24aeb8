"""`harness draw` on a suite: the draw of any cell, and that it reads back as the same draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_suite import SMALL, MakePlan

from harness.datasets import Item
from harness.datasets.draws import content_id
from harness.errors import HarnessError
from harness.plan.cell import Cell
from harness.plan.expand import Plan
from harness.run.prepared import Prepared
from harness.run.resources import Resources
from harness.verbs.draw import print_draw

NOTHING = dict.fromkeys(("shots", "seed", "sampler", "form", "cell")) | {"only": ()}
HALVES = SMALL.replace("retention: [digits]", "setting: base_to_new").replace("[1, 2]", "[2]")


def lines_of(plan: Plan, capsys: pytest.CaptureFixture[str], **options: object) -> str:
    given = {
        "shots": None,
        "seed": None,
        "sampler": None,
        "form": None,
        "cell": None,
        "only": (),
        **options,
    }
    assert print_draw(plan.suite.path, **given) == 0  # type: ignore[arg-type]
    return capsys.readouterr().out


def probe(plan: Plan, dataset: str) -> Cell:
    cells = [c for c in plan.cells if c.label == "linear_probe" and c.dataset == dataset]
    return max(cells, key=lambda cell: cell.shots)


@pytest.mark.parametrize("sampler", ["coop", "clip_lora"])
@pytest.mark.parametrize(("text", "dataset"), [(SMALL, "digits"), (HALVES, "georgian-base")])
def test_a_cells_draw_reads_back_as_the_same_draw(
    plan_of: MakePlan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    dataset: str,
    sampler: str,
) -> None:
    text += f"sampler: {sampler}\n"
    plan = plan_of(text)
    cell = probe(plan, dataset)
    printed = lines_of(plan, capsys, cell=cell.id[:16])
    rows = [json.loads(line) for line in printed.splitlines()]
    assert {row["split"] for row in rows} == {"train", "val"}
    path = tmp_path / f"draw_{cell.shots}_1.jsonl"
    path.write_text(printed)
    shots = text.replace("[1, 2]", "[2]")
    again = plan_of(shots.replace(f"sampler: {sampler}", f"sampler: file:{path.name}"), "b.yaml")
    resources = Resources(tmp_path / "cache")
    both = (cell, probe(again, dataset))
    drawn, read = (Prepared(each, resources).stages[0].draw for each in both)
    assert (read.id, read.val_id) == (drawn.id, drawn.val_id)
    assert read.train == drawn.train, "in the same order"


def test_only_and_cell_choose_the_same_draw(
    plan_of: MakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of()
    cell = probe(plan, "georgian")
    by_axes = lines_of(plan, capsys, only=("dataset=georgian", "shots=2", "seed=1"))
    assert by_axes == lines_of(plan, capsys, cell=cell.id.upper()[:20])


def test_what_singles_out_no_draw_is_told(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = plan_of()
    frozen = next(cell for cell in plan.cells if cell.label == "zero_shot")
    path = plan.suite.path

    def message(**options: object) -> str:
        given = {
            "shots": None,
            "seed": None,
            "sampler": None,
            "form": None,
            "cell": None,
            "only": (),
            **options,
        }
        with pytest.raises(HarnessError) as error:
            print_draw(given.pop("source", path), **given)  # type: ignore[arg-type]
        return str(error.value)

    assert "4 draws to choose from (digits shots=1 seed=1;" in message()
    assert "2 draws" in message(only=("dataset=digits",))
    assert "zero_shot: uses no support set, so there is no draw" in message(cell=frozen.id)
    assert "zero_shot: uses no support set" in message(only=("method=zero_shot",))
    assert "--cell 00ff00ff: no cell of" in message(cell="00ff00ff")
    assert 'no cell has dataset "digit" (did you mean "digits"?)' in message(
        only=("dataset=digit",)
    )
    assert "a suite, which says shots, seeds and sampler itself" in message(shots=1, seed=1)
    split = tmp_path / "split.json"
    assert "choose from a suite" in message(source=split, cell="ab")
    assert "needs --shots and --seed" in message(source=split, shots=1)
    monkeypatch.setattr(Cell, "id", property(lambda cell: "abc" + cell.identity.id))
    assert "--cell abc: 6 cells begin so (abc" in message(cell="abc")


def test_a_file_with_a_draw_is_converted_both_ways(
    plan_of: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of()
    cell = probe(plan, "georgian")
    lines = lines_of(plan, capsys, cell=cell.id)
    published = lines_of(plan, capsys, cell=cell.id, form="json")
    rows = json.loads(published)
    assert [len(rows[split]) for split in ("train", "val")] == [
        sum(f'"{split}"' in line for line in lines.splitlines()) for split in ("train", "val")
    ]
    for text, name, form, expected in (
        (lines, "draw.jsonl", "json", published),
        (published, "draw.json", "lines", lines),
        (json.dumps(rows, indent=1), "indented.json", "lines", lines),
        (lines, "draw.jsonl", "lines", lines),
    ):
        (tmp_path / name).write_text(text)
        assert print_draw(tmp_path / name, **{**NOTHING, "form": form}) == 0  # type: ignore[arg-type]
        assert capsys.readouterr().out == expected
    # Both are read back as the cell's draw.
    for name in ("draw.jsonl", "draw.json"):
        text = SMALL.replace("[digits, georgian]", "[georgian]", 1).replace("[1, 2]", "[2]")
        again = plan_of(text + f"sampler: file:{name}\n", "b.yaml")
        read = Resources(tmp_path / "cache").draw(probe(again, "georgian"), cell.dataset_spec)
        assert content_id(read.train) == content_id([Item(*row) for row in rows["train"]])
