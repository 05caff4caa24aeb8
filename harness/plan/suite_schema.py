"""The JSON schema of suite files, for editors: every key, and every setting of the methods here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from harness import registry
from harness.plan.methods import METHODS, find_method
from harness.plan.suite_model import Suite

Schema = dict[str, Any]


def suite_schema() -> Schema:
    """JSON schema (2020-12) of a suite, with the settings of every registered method.

    Raises:
        HarnessError: a registered method that does not import.
    """
    schema: Schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Suite.model_json_schema()
    schema["title"] = "A suite of harness"
    schema["patternProperties"] = {"^x-": {}}  # anchors
    entry = schema["$defs"]["MethodEntry"]["anyOf"][1]
    entry["properties"]["name"]["examples"] = sorted(registry.plugins(METHODS))
    entry["allOf"] = list(_settings_of_methods(schema["$defs"]))
    return schema


def _settings_of_methods(definitions: Schema) -> Iterator[Schema]:
    """If the name is a method's, then `config` holds its settings, each a value or a grid."""
    for name in sorted(registry.plugins(METHODS)):
        try:
            config = TypeAdapter(find_method(name).Config).json_schema()
        except PydanticInvalidForJsonSchema:
            continue  # a third party's setting of a type that JSON does not have
        definitions |= config.pop("$defs", {})
        settings = {key: _or_grid(found) for key, found in config.get("properties", {}).items()}
        definitions[f"settings of {name}"] = {"properties": settings, "additionalProperties": False}
        reference = {"$ref": f"#/$defs/settings of {name}"}
        yield {
            "if": {"properties": {"name": {"const": name}}},
            "then": {"properties": {"config": reference}},
        }


def _or_grid(setting: Schema) -> Schema:
    return {"anyOf": [setting, {"type": "array", "items": setting}]}
