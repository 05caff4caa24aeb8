"""Samplers of a stranger, in suites: options, identity, executors, and what is wrong with one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from running import ONE_SET, Run, numbers
from small_suite import MakePlan

from harness.datasets import Item
from harness.datasets.dataset import DatasetError
from harness.datasets.draws import draw
from harness.datasets.samplers import Sampler, find_sampler
from harness.errors import HarnessError
from harness.plan.cell import Cell
from harness.plan.expand import Plan

MINE = """\
from dataclasses import dataclass
from harness.datasets.samplers import Sampler, by_class

@dataclass(frozen=True)
class First(Sampler):
    \"\"\"The first images of every class, of which `skip` are left out.\"\"\"

    skip: int = 0
    name = "first"

    def draw(self, train, val, shots, rng):
        return [i for group in by_class(train) for i in group[self.skip :][:shots]], []
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def suite(sampler: str, shots: str = "[2]") -> str:
    return ONE_SET.replace("shots: [1]", f"shots: {shots}") + f"sampler: {sampler}\n"


def probe(plan: Plan) -> Cell:
    (cell,) = [cell for cell in plan.cells if cell.label == "linear_probe"]
    return cell


def test_it_runs_alike_under_both_executors(plan_of: MakePlan, mine: Path, tmp_path: Path) -> None:
    plan = plan_of(suite("{name: mine.py:First, skip: 1}"))
    serial = Run(plan, tmp_path / "serial")
    ray = Run(plan, tmp_path / "ray", "ray")
    record = serial.contents.records[probe(plan).id]
    assert record.status == "ok" and record.draw is not None, record.failure
    assert (record.draw.sampler, record.draw.images) == ("first", 20)
    assert numbers(serial.contents.records) == numbers(ray.contents.records)


def test_options_and_source_are_in_the_id_and_paths_are_not(
    plan_of: MakePlan, mine: Path, tmp_path: Path
) -> None:
    plain = probe(plan_of(suite("mine.py:First")))
    draw = plain.identity.draw
    assert draw is not None and (draw.sampler, draw.options) == ("first", {"skip": 0})
    assert probe(plan_of(suite("{name: mine.py:First, skip: 0}"))).id == plain.id
    skipping = probe(plan_of(suite("{name: mine.py:First, skip: 1}")))
    assert skipping.id != plain.id and skipping.sampler == "first(skip=1)"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine.py").write_text(MINE)
    assert probe(plan_of(suite("folder/mine.py:First"))).id == plain.id
    (tmp_path / "other.py").write_text(MINE.replace("[:shots]", "[-shots:]"))
    (tmp_path / "folder/mine.py").write_text(MINE.replace("[:shots]", "[-shots:]"))
    assert probe(plan_of(suite("other.py:First"))).id != plain.id


def test_the_projects_own_are_identified_by_name(plan_of: MakePlan) -> None:
    draw = probe(plan_of(suite("coop"))).identity.draw
    assert draw is not None and (draw.sampler, draw.options, draw.source) == ("coop", None, None)
    assert probe(plan_of(suite("{name: coop}"))).id == probe(plan_of(ONE_SET_AT_TWO)).id
    assert probe(plan_of(suite("clip_lora"))).id != probe(plan_of(ONE_SET_AT_TWO)).id


ONE_SET_AT_TWO = ONE_SET.replace("shots: [1]", "shots: [2]")


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ("cop", 'sampler: unknown sampler "cop" (did you mean "coop"?); or use "file:PATH"'),
        (
            "{name: mine.py:First, skp: 1}",
            'sampler.skp: unknown setting "skp" (did you mean "skip"',
        ),
        ("{name: mine.py:First, skip: many}", "sampler.skip: "),
        ("{name: coop, ratio: 2}", 'sampler.ratio: unknown setting "ratio"'),
        ("{name: 'file:x.jsonl', skip: 1}", "sampler: a draw from a file has no options"),
        ("mine.py:Firts", 'does not define "Firts" (did you mean "First"?)'),
        ("mine.py:by_class", "function is not a sampler: derive one from"),
        ("absent.py:First", "absent.py: no such file"),
        ("file:mine.py", "mine.py:1: "),
        ("{skip: 1}", 'the key "name" is missing'),
    ],
)
def test_a_wrong_sampler_is_named_with_its_line(
    plan_of: MakePlan, mine: Path, tmp_path: Path, sampler: str, message: str
) -> None:
    text = suite(sampler)
    line = text.splitlines().index(f"sampler: {sampler}") + 1
    with pytest.raises(HarnessError) as error:
        plan_of(text)
    assert str(error.value).startswith(f"{tmp_path}/small.yaml:{line}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('    name = "first"\n', "", "has no name"),
        ('name = "first"', 'name = "a:b"', 'has no name without ":"'),
        ("@dataclass(frozen=True)\n", "", "write @dataclass(frozen=True) above it"),
        ("def draw", "def drew", "does not define draw(self, train, val, shots, rng)"),
        ("(Sampler)", "", "class First is not a sampler"),
    ],
)
def test_a_class_that_is_no_sampler_says_what_it_lacks(
    mine: Path, old: str, new: str, message: str
) -> None:
    path = mine.with_name(f"{abs(hash(old))}.py")
    path.write_text(MINE.replace(old, new))
    with pytest.raises(HarnessError) as error:
        find_sampler(f"{path}:First")
    assert message in str(error.value)


TRAIN = [Item(f"train/{n}", n % 2, "c") for n in range(8)]
VAL = [Item(f"val/{n}", n % 2, "c") for n in range(4)]


def drawn(train: list[Item], val: list[Item]) -> Counter[int]:
    class Fixed(Sampler):
        name = "fixed"

        def draw(self, *given: object) -> tuple[list[Item], list[Item]]:
            return train, val

    return draw(TRAIN, VAL, 2, 1, Fixed()).given


@pytest.mark.parametrize("returned", [TRAIN, TRAIN[:2], None, (TRAIN,)])
def test_a_sampler_that_returns_no_pair_is_told_what_to_return(returned: object) -> None:
    class Single(Sampler):
        name = "single"

        def draw(self, *given: object) -> tuple[list[Item], list[Item]]:
            return returned  # type: ignore[return-value]

    with pytest.raises(DatasetError, match=r'"single": draw returned .*return support, validation'):
        draw(TRAIN, VAL, 2, 1, Single())


def test_a_sampler_draws_from_what_it_was_given() -> None:
    assert drawn(TRAIN[:3], VAL[:1]) == {0: 2, 1: 1}
    assert drawn([TRAIN[0]] * 3, []) == {0: 1}, "a repeated image is one image"
    for train, val, message in (
        (VAL[:1], [], r'sampler "fixed" drew .*val/0.* for train, .* among the 8 train items'),
        (TRAIN[:2], TRAIN[:1], r"drew .*train/0.* for val, which is not among the 4 val items"),
        ([TRAIN[0]._replace(label=1)], [], "for train"),
        ([], [], "drew no training image"),
    ):
        with pytest.raises(HarnessError, match=message):
            drawn(train, val)
