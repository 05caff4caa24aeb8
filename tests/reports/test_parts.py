"""Parts: each alone on a small study; a stranger's, with its mistakes said in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from synthetic import grid, record, records

from harness.errors import HarnessError
from harness.plan.methods import METHODS
from harness.plan.suite import load_suite
from harness.registry import plugins
from harness.reports import Part, Plot, Study, Table, assemble, find_part, gather
from harness.reports.parts import ORIGIN, RESULTS
from harness.reports.study import study
from harness.verbs.report import report_parts

PARTS = [*RESULTS, *ORIGIN]


@pytest.fixture(scope="module")
def small() -> Study:
    cells = grid(["zero_shot", "lora", "tip_adapter"], ["a"], [4])
    return study(cells, records(cells))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_stands_alone_and_twice_the_same(part: Part, small: Study) -> None:
    tables, plots = part.tables(small), part.plots(small)
    for table in tables:
        assert all(len(line.entries) == len(table.head) - 1 for line in table.lines)
        assert not table.under or len(table.under) == len(table.head)
        shown = " ".join(entry.text for line in table.lines for entry in line.entries)
        assert "nan" not in shown
    again = part.tables(small)
    assert [table.lines for table in again] == [table.lines for table in tables]
    for one, two in zip(tables, again, strict=True):
        pd.testing.assert_frame_equal(one.data, two.data)
    assert [plot.name for plot in plots] == [plot.name for plot in part.plots(small)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_of_nothing_shows_nothing_wrong(part: Part) -> None:
    cells = grid(["lora"], ["a"], [4])
    empty = study(cells, {})
    assert part.plots(empty) == ()
    for table in part.tables(empty):
        assert all("nan" not in entry.text for line in table.lines for entry in line.entries)


def test_no_method_is_known_by_name() -> None:
    known = "|".join(plugins(METHODS))
    for path in (Path(__file__).parents[2] / "reports").rglob("*.py"):
        assert not re.search(rf'"({known})"', path.read_text()), path


class Fails(Part):
    name, title = "fails", "Fails"

    def tables(self, study: Study) -> list[Table]:
        raise KeyError("no such column")


class FailsToDraw(Part):
    name, title = "fails_to_draw", "Fails"

    def plots(self, study: Study) -> list[Plot]:
        return [Plot("x", "x", "x", lambda: 1 / 0)]  # type: ignore[arg-type, return-value]


class ReturnsOne(Part):
    name, title = "returns_one", "No list"

    def tables(self, study: Study) -> list[Table]:
        return Table.of("x", "x", study.frame)  # type: ignore[return-value]


class ReturnsFrames(Part):
    name, title = "returns_frames", "No tables"

    def tables(self, study: Study) -> list[Table]:
        return [study.frame]  # type: ignore[list-item]


class Taken(Part):
    name, title = "leaderboard", "Another"


class Nameless(Part):
    title = "Without a name"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            Fails(),
            r"report part \"fails\" failed: KeyError: 'no such column' \(.*test_parts.py:\d+",
        ),
        (FailsToDraw(), r"report part \"fails_to_draw\" failed: ZeroDivisionError"),
        (ReturnsOne(), r"tables\(study\) returned Table, expected a list of Table"),
        (ReturnsFrames(), r"returned a list with a DataFrame, expected a list of Table"),
        (Taken(), r'a part "leaderboard" already'),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_part_that_fails_is_named(part: Part, message: str) -> None:
    cells = grid(["lora"], ["a"], [4])
    with pytest.raises(HarnessError, match=message):
        assemble(gather(cells, {c.id: record(c) for c in cells}, parts=[part]), "t")


SUITE = """\
backbone: glyphs
datasets: [digits]
shots: [1]
seeds: [1]
methods: [zero_shot]
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nameless", 'needs a name for its files, in small letters: name = "my_part"'),
        ("SUITE", "str is not a Part: derive one from harness.reports.part.Part"),
        ("Fail", 'does not define "Fail" (did you mean "Fails"?)'),
    ],
)
def test_a_suite_that_names_none_is_told_so_with_its_line(
    tmp_path: Path, name: str, message: str
) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(f"{SUITE}report:\n  parts:\n    - {__file__}:{name}\n")
    with pytest.raises(HarnessError) as caught:
        report_parts(load_suite(suite))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{suite}:8: report.parts[0]: ")


def test_a_reference_is_the_label_of_a_row(tmp_path: Path) -> None:
    from harness.plan.variants import variants_of

    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE + "reference: zero_shott\n")
    with pytest.raises(HarnessError, match=r'mine.yaml:6: reference: no row .*did you mean "zero_'):
        variants_of(load_suite(suite))
    suite.write_text(SUITE + "reference: zero_shot\n")
    assert len(variants_of(load_suite(suite))) == 1


def test_parts_are_found_by_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    empty = "from harness.reports import Part\nclass Mine(Part):\n    name, title = 'mine', 'M'\n"
    path.write_text(empty + "    def tables(self, study):\n        return []\n")
    assert find_part("mine.py:Mine", tmp_path).name == "mine"
    (tmp_path / "misspelt.py").write_text(
        empty + "    def table_s(self, study):\n        return []\n"
    )
    with pytest.raises(HarnessError, match="class Mine shows nothing: write tables"):
        find_part("misspelt.py:Mine", tmp_path)
