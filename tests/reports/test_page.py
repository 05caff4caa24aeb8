"""The written report: same bytes, nothing leaks, nothing is fetched, nothing unescaped."""

import dataclasses
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from synthetic import FakeCell, failed, grid, record, records

from harness.reports import Report, assemble, build, gather, table_files, write
from harness.store.record import Record

FILES = {
    "cells.csv",
    "leaderboard.csv",
    "leaderboard.md",
    "per_dataset.csv",
    "per_dataset.md",
    "forgetting.csv",
    "forgetting.md",
    "paired.csv",
    "paired.md",
    "draws.csv",
    "draws.md",
    "cost.csv",
    "cost.md",
    "accuracy.svg",
    "forgetting.svg",
    "cost.svg",
    "overview.png",
    "index.html",
}


@pytest.fixture(scope="module")
def cells() -> list[FakeCell]:
    return grid(["zero_shot", "lora", "comp_lora"], ["digits", "georgian"], [1, 16])


@pytest.fixture(scope="module")
def report(cells: list[FakeCell]) -> Report:
    return assemble(gather(cells, records(cells)), "Title")


def test_same_records_same_bytes(report: Report, cells: list[FakeCell], tmp_path: Path) -> None:
    again = dict(reversed(records(cells).items()))
    build(cells, again, tmp_path, "Title")
    assert set(report.files) == FILES == {path.name for path in tmp_path.iterdir()}
    for name in FILES:
        assert (tmp_path / name).read_bytes() == report.files[name], name


def test_timing_stays_out_of_the_tables_of_measures(cells: list[FakeCell]) -> None:
    def slower(cell: FakeCell) -> Record:
        made = record(cell)
        assert made.cost is not None
        cost = dataclasses.replace(made.cost, fit_seconds=999.0, peak_memory_mib=1e4)
        return dataclasses.replace(made, cost=cost)

    one = table_files(gather(cells, records(cells)))
    two = table_files(gather(cells, {c.id: slower(c) for c in cells}))
    assert {name for name in one if one[name] != two[name]} == {"cells.csv", "cost.csv", "cost.md"}


def test_labels_are_escaped_everywhere() -> None:
    evil = "<script>alert(1)</script> & $x_1$ | _y*"
    cells = [dataclasses.replace(c, label=evil) for c in grid(methods=["lora"], datasets=["a"])]
    cells += grid(methods=["zero_shot", "coop"], datasets=["a"])
    results = records(cells)
    results[cells[0].id] = failed(cells[0], message="<img src=x onerror=alert(1)>")
    files = assemble(gather(cells, results), "<script>title</script>").files
    for name in ("index.html", "leaderboard.md", "accuracy.svg"):
        text = files[name].decode()
        assert "<script" not in text, name
        assert "<img" not in text, name
    assert "&lt;script&gt;alert(1)" in files["index.html"].decode()


def test_the_page_is_self_contained_and_shows_no_nan(report: Report) -> None:
    files = report.files
    page = files["index.html"].decode()
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    for name in ("index.html", "leaderboard.md", "per_dataset.md", "forgetting.md", "cost.md"):
        text = re.sub(r"<style>.*?</style>", "", files[name].decode(), flags=re.S)
        assert not re.search(r"\bnan\b|\bNone\b|NaN|<NA>|\binf\b", text), name
    assert 'role="img" aria-label="Accuracy against shots' in page
    assert page.count("<caption>") == page.count("<table>")
    ids = re.findall(r' id="([^"]+)"', re.sub(r"<defs>.*?</defs>", "", page, flags=re.S))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", ["failed", "missing"])
def test_a_grid_without_results_still_has_a_page(kind: str, tmp_path: Path) -> None:
    cells = grid(methods=["zero_shot", "lora"], datasets=["a", "b"])
    results = {c.id: failed(c) for c in cells} if kind == "failed" else {}
    report = build(cells, results, tmp_path, "Empty")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "No cell has finished yet" in page
    assert report.counts[kind] == len(cells)
    assert "accuracy.svg" not in report.files
    assert ">nan" not in page


def test_an_empty_plan_has_a_page(tmp_path: Path) -> None:
    build([], {}, tmp_path, "Nothing")
    assert "0 planned" in (tmp_path / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "axes",
    [
        {"datasets": ["a"], "shots": [1], "seeds": [1]},
        {"datasets": ["a"]},
        {"methods": ["zero_shot"]},
        {"methods": ["lora"], "shots": [1]},
        {"methods": ["tip_adapter"], "seeds": [1, 2]},
    ],
)
def test_small_grids(axes: dict[str, list[object]]) -> None:
    cells = grid(**{"methods": ["zero_shot", "lora", "tip_adapter"], **axes})
    files = assemble(gather(cells, records(cells)), "t").files
    assert "nan" not in files["leaderboard.md"].decode()
    assert b"<h2>Leaderboard</h2>" in files["index.html"]


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, report: Report) -> None:
    write(report, tmp_path)
    blocked = tmp_path / "cells.csv"
    blocked.unlink()
    blocked.mkdir()
    new = dataclasses.replace(report, files={**report.files, "index.html": b"new"})
    with pytest.raises(OSError):
        write(new, tmp_path)
    assert (tmp_path / "index.html").read_bytes() == report.files["index.html"]
    assert not list(tmp_path.glob(".*"))


def test_other_alphabets_in_labels_raise_no_warning() -> None:
    cells = [
        dataclasses.replace(c, label="方法") for c in grid(methods=["lora"], datasets=["ქართული"])
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assemble(gather(cells, records(cells)), "თემა 方")


def test_reports_need_no_model() -> None:
    code = "import sys, harness.reports; sys.exit(any(m in sys.modules for m in ('torch', 'ray')))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
