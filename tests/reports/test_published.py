"""Published numbers: read strictly, compared only under the same protocol."""

import dataclasses
from pathlib import Path

import pytest
from synthetic import FakeCell, grid, record

from harness.errors import HarnessError
from harness.reports import gather, load_published, table_files
from harness.reports.draws import broadcast
from harness.reports.frame import cell_frame
from harness.reports.parity import Comparison, compare

FOLDER = Path(__file__).parents[2] / "suites" / "published"
TEXT = """\
paper: A paper
read_in: paper
primary: true
backbones: [glyphs]
datasets: [a, b]
protocol: fixed
sampler: coop
draws: 3
numbers:
  - {method: lora, shots: 4, value: 60.0, config: {lr: 0.001}}
"""


def compared(text: str, tmp_path: Path, cells: list[FakeCell], top1: float = 60.2) -> Comparison:
    (tmp_path / "x.yaml").write_text(text)
    results = {c.id: record(c, top1=top1) for c in cells}
    frame = cell_frame(cells, results)
    (found,) = compare(load_published(tmp_path), broadcast(frame), results)
    return found


@pytest.fixture
def cells() -> list[FakeCell]:
    return grid(methods=["lora"], datasets=["a", "b", "c"], shots=[4])


def test_same_protocol_is_compared(tmp_path: Path, cells: list[FakeCell]) -> None:
    assert compared(TEXT, tmp_path, cells).status == "reproduced"
    assert compared(TEXT, tmp_path, cells, top1=60.6).status == "differs"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[glyphs]", "[ViT-B-16/openai]", "backbone glyphs, theirs ViT-B-16/openai"),
        ("[glyphs]", "[]", "states no backbone"),
        ("[a, b]", "[a, b, z]", "1 of their 3 data sets not here: z"),
        ("protocol: fixed", "protocol: val_search", 'protocol "fixed", theirs "val_search"'),
        ("sampler: coop", "sampler: clip_lora", 'sampler "coop", theirs "clip_lora"'),
        ("draws: 3", 'templates: ["{} texture."]', 'templates "a photo of a {}.", theirs'),
        ("lr: 0.001", "lr: 0.5", "lr = 0.001, theirs 0.5"),
        ("shots: 4", "shots: 8", "no cells at 8 shots"),
    ],
)
def test_other_protocols_are_not(
    tmp_path: Path, cells: list[FakeCell], old: str, new: str, why: str
) -> None:
    found = compared(TEXT.replace(old, new), tmp_path, cells)
    assert found.status == "not comparable"
    assert why in "; ".join(found.why)


def test_differences_between_methods_are_paired(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        TEXT.replace("method: lora,", "method: comp_lora, minus: lora,").replace("60.0", "1.0")
    )
    cells = grid(methods=["lora", "comp_lora"], datasets=["a", "b"], shots=[4])
    results = {c.id: record(c, top1=50.0 + 1.2 * (c.label == "comp_lora")) for c in cells}
    data = gather(cells, results, load_published(tmp_path)).tables["published"][0].data
    assert data["ours"].iloc[0] == pytest.approx(1.2)
    assert data["status"].iloc[0] == "reproduced"


def test_incomplete_cells_are_not_compared(tmp_path: Path, cells: list[FakeCell]) -> None:
    (tmp_path / "x.yaml").write_text(TEXT)
    results = {c.id: record(c, top1=60.0) for c in cells[1:]}
    table = gather(cells, results, load_published(tmp_path)).tables["published"][0].data
    assert table["why"].tolist() == ["cells are missing"]


def test_the_shipped_files_are_read_and_match_a_real_size_run() -> None:
    files = load_published(FOLDER)
    assert [one.primary for one in files] == [False, False]
    clip_lora = files[0]
    fake = grid(["zero_shot", "lora"], clip_lora.datasets, shots=[1, 2, 4, 8, 16])
    cells = [
        dataclasses.replace(c, backbone="ViT-B-16-quickgelu/openai", sampler="clip_lora")
        for c in fake
    ]
    config = clip_lora.numbers[1].config
    results = {}
    for c in cells:
        made = record(c, top1=65.1 if c.label == "zero_shot" else 75.4)
        method = dataclasses.replace(made.identity.method, config=config)
        identity = dataclasses.replace(made.identity, method=method)
        results[c.id] = dataclasses.replace(made, identity=identity)
    data = gather(cells, results, files).tables["published"][0].data
    states = data.set_index(["method", "shots"])["status"]
    assert states[("zero_shot", 0)] == "reproduced"
    assert states[("lora", 2)] == "reproduced"
    assert states[("lora", 16)] == "differs"


def test_on_other_data_they_share_a_line_that_says_why() -> None:
    cells = grid(["zero_shot", "lora", "comp_lora"], ["digits"], shots=[4])
    content = gather(cells, {c.id: record(c) for c in cells}, load_published(FOLDER))
    lines = content.tables["published"][0].lines
    assert [line.name for line in lines] == ["zero_shot", "lora", "comp_lora", "comp_lora"]
    text = table_files(content)["published.md"]
    assert "backbone glyphs, theirs ViT-B-16-quickgelu/openai" in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "primary: true",
            "primry: true",
            r'x.yaml:3: unknown key "primry" .did you mean "primary"',
        ),
        ("value: 60.0", "value: many", r'x.yaml:10: numbers\[0\].value: "many": expected a number'),
        ("paper: A paper", "paper: [", r'x.yaml:3: the "\[" on line 1 is not closed'),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(TEXT.replace(old, new))
    with pytest.raises(HarnessError, match=message):
        load_published(tmp_path)
