"""Properties of ids: equal content, equal id; any other content, another id."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.canonical import canonical
from harness.store.identity import (
    AugmentIdentity,
    BackboneIdentity,
    DataIdentity,
    DrawIdentity,
    HeldOutIdentity,
    Identity,
    MethodIdentity,
    Preprocessing,
    StageIdentity,
    in_one_piece,
)

NEXT = {"base": "new", "new": "base", "fixed": "oracle", "oracle": "val_search"}
NEXT |= {"val_search": "val_full", "val_full": "fixed"}
TEXT = st.text(max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SETTINGS = st.dictionaries(TEXT, VALUES, max_size=4)
PAIR = st.tuples(NUMBER, NUMBER)
TRIPLE = st.tuples(NUMBER, NUMBER, NUMBER)
DATA = st.builds(
    DataIdentity,
    TEXT,
    TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
    st.sampled_from([None, "base", "new"]),
    st.none() | TEXT,
)
IDENTITIES = st.builds(
    Identity,
    method=st.builds(MethodIdentity, TEXT, SETTINGS, TEXT, st.none() | st.just({"lr": [0.1, 1.0]})),
    protocol=st.sampled_from(["fixed", "val_search", "val_full", "oracle"]),
    draw=st.none()
    | st.builds(DrawIdentity, TEXT, st.integers(1, 99), st.integers(0, 99), st.none() | SETTINGS),
    augment=st.none()
    | st.builds(
        AugmentIdentity, st.tuples(NUMBER, NUMBER), st.tuples(NUMBER, NUMBER), st.booleans()
    ),
    backbone=st.builds(
        BackboneIdentity,
        TEXT,
        TEXT,
        TEXT,
        st.none() | st.builds(Preprocessing, st.integers(1, 999), TRIPLE, TRIPLE, TEXT, TEXT),
    ),
    stages=st.lists(
        st.builds(
            StageIdentity,
            DATA,
            st.lists(
                st.builds(HeldOutIdentity, DATA, st.sampled_from([None, "columns"])), max_size=2
            ).map(tuple),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
)


def reversed_keys(value: Any) -> Any:
    """The same mappings, their keys in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(one) for one in value] if isinstance(value, list) else value


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 0.0 if value else 1.0
    if isinstance(value, str):
        return NEXT.get(value, value + "x")
    if isinstance(value, dict):
        return {**value, "another setting": [1]}
    return (*value[:-1], other(value[-1])) if value else ("x",)


def changed(part: Any) -> Iterator[tuple[str, Any]]:
    """The part with one of its fields changed, for every field that holds something."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            values = list(changed(value))
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            values = [(name, (one, *value[1:])) for name, one in changed(value[0])]
            values += [("one more", (*value, value[0]))]
        elif value is None or (field.name, value) in (("transfer", "columns"), ("held_out", ())):
            continue
        else:
            values = [("", other(value))]
        for name, new in values:
            yield f"{field.name}.{name}", dataclasses.replace(part, **{field.name: new})


@given(IDENTITIES)
def test_the_id_is_the_hash_of_the_canonical_json_of_all_of_it(identity: Identity) -> None:
    assert identity.canonical == canonical(json.loads(identity.canonical)) == in_one_piece(identity)
    assert identity.id == hashlib.sha256(identity.canonical.encode()).hexdigest()

    def held(pairs: Any) -> dict[str, Any]:
        return {name: value for name, value in pairs if value is not None}

    # Settings may be None, and stay; a part that is None is left out.
    everything = dataclasses.asdict(identity, dict_factory=held)
    assert identity.plain == json.loads(canonical(everything))


@given(IDENTITIES)
def test_the_order_of_settings_changes_no_id(identity: Identity) -> None:
    method = dataclasses.replace(identity.method, config=reversed_keys(identity.method.config))
    assert dataclasses.replace(identity, method=method).id == identity.id


@given(IDENTITIES)
def test_what_is_equal_has_one_id_wherever_it_was_made(identity: Identity) -> None:
    again = pickle.loads(pickle.dumps(identity))
    assert again == identity and again.id == identity.id


@given(IDENTITIES)
def test_changing_any_field_changes_the_id(identity: Identity) -> None:
    for name, another in changed(identity):
        assert another.id != identity.id, name


@given(IDENTITIES, IDENTITIES)
def test_two_identities_have_one_id_only_if_they_are_one(one: Identity, two: Identity) -> None:
    assert (one.canonical == two.canonical) == (one.id == two.id)


def test_a_part_that_is_added_later_changes_no_id_of_cells_without_it() -> None:
    identity = Identity(
        method=MethodIdentity("zero_shot", {}, "ab" * 32),
        protocol="fixed",
        backbone=BackboneIdentity("glyphs", "cd" * 32, "fp32"),
        stages=(StageIdentity(DataIdentity("digits", "ef" * 32, ("a {}",))),),
    )
    assert set(identity.plain) == {"method", "protocol", "backbone", "stages", "schema"}
    assert set(identity.plain["method"]) == {"name", "config", "source"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DrawIdentity("coop", 0, 1),
        lambda: DrawIdentity("coop", 1, "1"),  # type: ignore[arg-type]
        lambda: AugmentIdentity((0.1, float("nan")), (1.0, 1.0), False),
        lambda: MethodIdentity("lora", {}, None),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type_is_no_part_of_an_identity(wrong: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        wrong()
