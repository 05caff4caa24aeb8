"""The reference of every key, and the schema for editors: both are the models', no copies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.plan.suite import load_suite
from harness.plan.suite_model import MethodEntry, Suite
from harness.plan.suite_schema import suite_schema
from harness.plan.yaml_lines import read
from scripts.suite_reference import INTRODUCTION, PAGE, page

SUITES = sorted((Path(__file__).parents[2] / "suites").rglob("*.yaml"))
SUITES = [path for path in SUITES if "published" not in path.parts]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found = json.loads(json.dumps(suite_schema()))
    jsonschema.Draft202012Validator.check_schema(found)
    return dict(found)


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.suite_reference"


def test_every_key_has_a_meaning() -> None:
    models = (Suite, MethodEntry, *(Suite.model_fields[k].annotation for k in ("backbone",)))
    for model in models:
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key}: write a docstring below it"


def test_the_pages_own_suite_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", INTRODUCTION, re.S)
    (tmp_path / "s.yaml").write_text(example)
    assert len(load_suite(tmp_path / "s.yaml").suite.methods) == 3


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_schema_takes_every_suite_that_ships(schema: dict[str, Any], path: Path) -> None:
    jsonschema.validate(read(path)[0], schema)


GOOD = {"backbone": "glyphs", "datasets": "digits", "shots": 1, "seeds": [1], "methods": "lora"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"shot": 1}, "shot"),
        ({"shots": 0}, "shots"),
        ({"protocol": "fixd"}, "protocol"),
        ({"backbone": {"model": "ViT-B-32", "pretraned": "openai"}}, "backbone"),
        ({"methods": [{"name": "lora", "config": {"rnk": 2}}]}, "methods"),
        ({"methods": [{"name": "lora", "config": {"rank": 0}}]}, "methods"),
        ({"methods": [{"name": "lora", "config": {"rank": [1, 0]}}]}, "methods"),
        ({"augment": {"flip": 3}}, "augment"),
    ],
)
def test_the_schema_marks_what_load_or_plan_refuse(
    schema: dict[str, Any], change: dict[str, Any], place: str
) -> None:
    jsonschema.validate(GOOD, schema)
    jsonschema.validate(GOOD | {"x-common": {"anything": 1}}, schema)
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.validate(GOOD | change, schema)
    assert place in [*caught.value.absolute_path][:1] or place in caught.value.message


def test_the_schema_takes_grids_and_files_of_plugins(schema: dict[str, Any]) -> None:
    grid = {"name": "lora", "config": {"rank": [1, 2], "sites": [["q"], ["v"]]}}
    plugin = {"name": "mine.py:Mine", "config": {"whatever": 1}}
    jsonschema.validate(GOOD | {"methods": [grid, plugin, "zero_shot"]}, schema)
