"""What errors say: the nearest words, and the first few of many."""

from __future__ import annotations

from harness.errors import did_you_mean, few


def test_the_first_few_and_how_many_more() -> None:
    assert few([]) == ""
    assert few(["a", "b", "c"], 3) == "a, b, c"
    assert few(range(2000), 2, "; ") == "0; 1 and 1,998 more"


def test_a_near_word_is_meant_and_few_words_are_all_told() -> None:
    assert did_you_mean("rnk", ["rank", "alpha"]) == ' (did you mean "rank"?)'
    assert did_you_mean("RANK", ["rank", "alpha"]) == ' (did you mean "rank"?)'
    assert did_you_mean("zzz", ["rank", "alpha"]) == " (known: alpha, rank)"
    assert did_you_mean("zzz", []) == ""


def test_of_many_words_the_nearest_five_are_told() -> None:
    many = [f"model-{letter}{number}" for letter in "abcdefgh" for number in range(20)]
    said = did_you_mean("b7?!?!?!?!", many)
    assert said.startswith(" (nearest: model-b7, ") and said.count(",") == 4
