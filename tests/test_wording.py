"""What was expected, in words: no sentence of pydantic's reaches a user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticKnownError
from pydantic_core._pydantic_core import list_all_errors  # every error it has, with an example
from pydantic_core.core_schema import ErrorType

from harness import registry
from harness.errors import HarnessError
from harness.wording import expected, explain, named, one_line, quoted

OURS = ("value_error", "assertion_error", "custom_error")
"""Types whose message a validator of ours has written."""


@pytest.mark.parametrize("known", list_all_errors(), ids=lambda known: known["type"])
def test_every_error_of_pydantics_is_told_in_our_words(known: Mapping[str, Any]) -> None:
    context = known.get("example_context") or {}
    theirs = PydanticKnownError(known["type"], context or None).message()
    if known["type"] in OURS:
        context = {"error": ValueError("ours")}
    problem = {"type": known["type"], "loc": ("key",), "input": 0, "ctx": context, "msg": theirs}
    said = explain(problem)
    assert theirs.lower() not in said.lower() and "Input should" not in said, said
    assert "{" not in said and "\n" not in said, said
    assert "expected " in said or '"key"' in said or said == "ours", said


def test_the_list_of_errors_is_whole() -> None:
    assert {known["type"] for known in list_all_errors()} == set(get_args(ErrorType))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Inner:
    rank: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Outer:
    rank: Annotated[int, Field(strict=True, ge=1)] = 2
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    steps: Annotated[int, Field(ge=0)] | None = None
    where: Literal["end", "middle"] = "end"
    sites: tuple[Literal["q", "k"], ...] = ("q",)
    flip: bool = False
    init: str = ""
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rank": 0}, "rank: 0: expected a whole number of at least 1"),
        ({"rank": True}, "rank: true: expected a whole number of at least 1"),
        ({"rank": "2"}, 'rank: "2": expected a whole number of at least 1'),
        ({"rank": 2.5}, "rank: 2.5: expected a whole number of at least 1"),
        ({"lr": 0}, "lr: 0: expected a number above 0"),
        ({"lr": float("inf")}, "lr: .inf: expected a finite number above 0"),
        ({"lr": float("nan")}, "lr: .nan: expected a finite number above 0"),
        ({"dropout": 1}, "dropout: 1: expected a number from 0 up, below 1"),
        ({"share": 2}, "share: 2: expected a number from 0 to 1"),
        ({"steps": -1}, "steps: -1: expected a whole number of at least 0, or null"),
        ({"where": "start"}, 'where: "start": expected one of end, middle'),
        ({"sites": ["q", "x"]}, 'sites[1]: "x": expected one of q, k'),
        ({"sites": "q"}, 'sites: "q": expected a list, each one of q, k'),
        ({"flip": "maybe"}, 'flip: "maybe": expected true or false'),
        ({"init": 3}, "init: 3: expected text"),
        ({"inner": {"rank": 0}}, "inner.rank: 0: expected a whole number of at least 1"),
        ({"inner": 3}, "inner: 3: expected a mapping"),
        ({"rnak": 3}, 'unknown key "rnak" (did you mean "rank"?)'),
    ],
)
def test_the_value_is_quoted_and_what_is_right_is_said(given: dict[str, Any], said: str) -> None:
    adapter = TypeAdapter(Outer)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(given)
    problem = caught.value.errors()[0]
    unknown = "unknown" in said
    place = "" if unknown else ".".join(map(str, problem["loc"])).replace(".0", "[0]")
    place = place.replace(".1", "[1]").replace(".constrained-int", "")
    told = explain(problem, adapter.json_schema())
    assert (f"{place}: {told}" if place else told) == said


def test_a_constructor_called_directly_is_told_on_one_line() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer(rank=0, where="start")  # type: ignore[arg-type]
    assert one_line(caught.value) == (
        "rank: 0: expected at least 1; where: \"start\": expected one of 'end' or 'middle'"
    )
    assert one_line(ValueError("as it is")) == "as it is"


def test_a_missing_key_is_named() -> None:
    class Model(BaseModel):
        name: str

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({})
    assert explain(caught.value.errors()[0]) == 'the key "name" is missing'


def test_long_values_are_cut_and_odd_ones_shown() -> None:
    assert len(quoted("x" * 1000)) <= 60
    assert quoted(None) == "null"
    assert quoted({1, 2}) == '"{1, 2}"'
    assert quoted({(1, 2): 3}) == "{(1, 2): 3}"


def test_bounds_are_said_as_people_say_them() -> None:
    assert expected({"type": "integer", "minimum": 3, "maximum": 5}) == "a whole number from 3 to 5"
    assert expected({"type": "number", "exclusiveMaximum": 2}) == "a number below 2"
    assert expected({}) == "a plain value"


def test_a_config_refused_in_a_plugin_is_told_in_one_line(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from harness.methods.low_rank.lora import Config\nDEFAULT = Config(rank=0, lr=-1)\n"
    )
    with pytest.raises(HarnessError) as caught:
        registry.find("harness.methods", f"{plugin}:Mine")
    assert str(caught.value) == (
        f"{plugin}:2: ValidationError: lr: -1: expected more than 0; rank: 0: expected at least 1"
    )


def test_a_foreign_message_of_many_lines_is_told_by_its_first() -> None:
    error = TypeError("\nOverflow when unpacking\nframe #0: c10::Error::Error")
    assert named(error) == "TypeError: Overflow when unpacking"
