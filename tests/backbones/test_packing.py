"""Packing of prompts, for any prompts: nothing is lost, and every token sees what is before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from torch import device

from harness.backbones.packing import Packing, Prompt, common_prefix, pack

TOKENS = st.integers(-6, 9)  # below 0: rows of a learnt context
COSTS = st.sampled_from([0.0, 0.5, 2.0, 7.0, 1e9])


@st.composite
def prompts(draw: st.DrawFn) -> list[Prompt]:
    """One to eight prompts of one to twelve tokens, which often begin alike."""
    shared = tuple(draw(st.lists(TOKENS, max_size=5)))
    own = st.lists(TOKENS, min_size=1, max_size=7).map(tuple)
    return draw(st.lists(own.map(lambda tokens: shared + tokens), min_size=1, max_size=8))


def packed(given: list[Prompt], cost: float) -> Packing:
    return pack(given, device("cpu"), cost)


def flat(packing: Packing) -> list[int]:
    """Every token of the flat sequence, learnt rows as negative numbers again."""
    ids = packing.ids.tolist()
    for place, row in zip(packing.learnt.tolist(), packing.rows.tolist(), strict=True):
        assert ids[place] == 0, "a learnt token takes no row of the vocabulary"
        ids[place] = -1 - row
    return [int(i) for i in ids]


def own_starts(packing: Packing) -> list[int]:
    """Where each packed prompt's own tokens start."""
    starts, start = [], packing.prefix
    for group in packing.groups:
        starts += [start + i * group.length for i in range(group.count)]
        start += group.count * group.length
    return starts


@given(prompts(), COSTS)
def test_every_prompt_is_read_back_in_the_callers_order(given: list[Prompt], cost: float) -> None:
    packing = packed(given, cost)
    tokens, starts, ends = flat(packing), own_starts(packing), packing.ends.tolist()
    prefix = tokens[: packing.prefix]
    found = [(*prefix, *tokens[start : end + 1]) for start, end in zip(starts, ends, strict=True)]
    assert [found[i] for i in packing.order.tolist()] == given


@given(prompts(), COSTS)
def test_a_token_stands_where_its_prompt_has_it(given: list[Prompt], cost: float) -> None:
    packing = packed(given, cost)
    positions = packing.positions.tolist()
    assert positions[: packing.prefix] == list(range(packing.prefix))
    lengths = sorted(len(prompt) for prompt in given)
    for start, end, length in zip(own_starts(packing), packing.ends.tolist(), lengths, strict=True):
        assert positions[start : end + 1] == list(range(packing.prefix, length))


@given(prompts(), COSTS)
def test_a_token_sees_itself_and_all_before_it_and_nothing_else(
    given: list[Prompt], cost: float
) -> None:
    packing = packed(given, cost)
    lengths = iter(sorted(len(prompt) for prompt in given))
    for group in packing.groups:
        width = packing.prefix + group.length
        for place, seen in enumerate(group.causal.tolist()):
            assert seen == [key <= packing.prefix + place for key in range(width)]
        members = [next(lengths) for _ in range(group.count)]
        if group.at_end is None:
            assert set(members) == {width}
        else:
            found = group.at_end.reshape(group.count, width).tolist()
            assert found == [[key < length for key in range(width)] for length in members]


@given(prompts(), COSTS)
def test_weights_count_every_token_of_every_prompt_once(given: list[Prompt], cost: float) -> None:
    assert packed(given, cost).weights.sum() == sum(len(prompt) for prompt in given)


@given(prompts(), COSTS, COSTS)
def test_dearer_groups_are_never_more(given: list[Prompt], cost: float, other: float) -> None:
    low, high = sorted((cost, other))
    assert len(packed(given, high).groups) <= len(packed(given, low).groups)
    assert len({len(prompt) for prompt in given}) == len(packed(given, 0).groups)
    assert len(packed(given, 1e9).groups) == 1


@given(prompts())
def test_the_common_prefix_is_the_longest_that_leaves_each_a_token(given: list[Prompt]) -> None:
    shared = common_prefix(given)
    assert len({prompt[:shared] for prompt in given}) == 1
    shortest = min(len(prompt) for prompt in given)
    assert shared < shortest
    assert shared == shortest - 1 or len({prompt[shared] for prompt in given}) > 1
