"""Properties of draws, for any class sizes, shots, seeds and names."""

from __future__ import annotations

import random
from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets import Item
from harness.datasets.draw_files import DrawFile, read_draw, to_json_lines, to_split_json
from harness.datasets.draws import Episode, content_id, draw
from harness.datasets.samplers import ClipLoRA, Coop, Sampler

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=6)
SHOTS = st.integers(1, 16)
SEEDS = st.integers(0, 2**32)
SAMPLERS = st.sampled_from([Coop(), ClipLoRA()])


def pool(split: str, sizes: list[int], mixed: int) -> list[Item]:
    """Items of classes of these sizes, in any order."""
    found = [Item(f"{split}/{c}/{n}", c, f"c{c}") for c, s in enumerate(sizes) for n in range(s)]
    random.Random(mixed).shuffle(found)
    return found


@given(SIZES, st.lists(st.integers(0, 6), max_size=6), SHOTS, SEEDS, SEEDS, SAMPLERS)
def test_counts_are_exact_and_no_image_is_in_two_splits(
    sizes: list[int], val: list[int], shots: int, seed: int, mixed: int, sampler: Sampler
) -> None:
    train_items, val_items = pool("train", sizes, mixed), pool("val", val, mixed)
    made = draw(train_items, val_items, shots, seed, sampler)
    for drawn, items, asked in (
        (made.train, train_items, shots),
        (made.val, val_items, min(shots, 4)),
    ):
        assert set(drawn) <= set(items), "no split gives to the other"
        there, counts = Counter(i.label for i in items), Counter(i.label for i in drawn)
        if isinstance(sampler, Coop):
            assert len(set(drawn)) == len(drawn)
            assert counts == {label: min(asked, size) for label, size in there.items()}
        else:
            assert counts == dict.fromkeys(there, asked)
            enough = [i for i in drawn if there[i.label] >= asked]
            assert len(set(enough)) == len(enough), "a class with enough images repeats none"
        order = [label for label, _ in groupby(i.label for i in drawn)]
        assert order == list(dict.fromkeys(i.label for i in items)), "class by class"
    assert made.given == Counter(i.label for i in set(made.train))


@given(SIZES, SHOTS, SEEDS, SEEDS, SAMPLERS)
def test_a_draw_depends_on_its_seed_alone(
    sizes: list[int], shots: int, seed: int, elsewhere: int, sampler: Sampler
) -> None:
    items = pool("train", sizes, 0)
    random.seed(elsewhere)
    first = draw(items, [], shots, seed, sampler)
    random.seed(elsewhere + 1)
    assert draw(items, [], shots, seed, sampler) == first


@given(SIZES, SEEDS, SEEDS)
def test_where_all_images_are_taken_every_seed_draws_the_same(
    sizes: list[int], one: int, other: int
) -> None:
    items = pool("train", sizes, 0)
    assert draw(items, [], max(sizes), one).id == draw(items, [], max(sizes), other).id


@given(SIZES, SHOTS, SEEDS, SEEDS)
def test_the_id_is_that_of_the_images_in_any_order(
    sizes: list[int], shots: int, seed: int, mixed: int
) -> None:
    made = draw(pool("train", sizes, 0), [], shots, seed)
    shuffled = list(made.train)
    random.Random(mixed).shuffle(shuffled)
    assert content_id(shuffled) == made.id
    assert content_id([*shuffled, shuffled[0]]) != made.id, "a repeated image counts"
    assert content_id(shuffled[1:]) != made.id
    moved = [shuffled[0]._replace(label=shuffled[0].label + 1), *shuffled[1:]]
    assert content_id(moved) != made.id


def test_draws_of_more_shots_do_not_contain_those_of_fewer() -> None:
    items = pool("train", [20, 20, 20], 0)
    few, more = (set(draw(items, [], shots, 1).train) for shots in (2, 16))
    assert not few <= more, "CoOp's draws are not nested, nor do we say so"


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=5, unique_by=lambda row: row[0]))
@pytest.mark.parametrize("write", [to_json_lines, to_split_json])
def test_any_name_survives_either_file(
    write: object, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    items = tuple(Item(path, label, name) for label, (path, name) in enumerate(rows))
    made = Episode(items, items[:1], "", 0)
    file = tmp_path_factory.getbasetemp() / "draw"
    file.write_bytes(write(made.splits).encode())  # type: ignore[operator]
    assert read_draw(file) == {"train": list(items), "val": list(items[:1])}
    found = draw(items, items[:1], 1, 0, DrawFile(str(file)))
    assert (found.train, found.val) == (made.train, made.val)
