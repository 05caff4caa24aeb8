"""Writes docs/suites.md, every key of a suite, from the models and their docstrings.

    python -m scripts.suite_reference

A test fails where the page is not what this writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.plan.suite_model import Suite
from harness.wording import expected, quoted

PAGE = Path(__file__).parents[1] / "docs" / "suites.md"
SECTIONS = {
    "BackboneSpec": ("`backbone`", "a name, or a mapping"),
    "DatasetSpec": ("`datasets`, `retention`", "each a name, or a mapping"),
    "MethodEntry": ("`methods`", "each a name, or a mapping"),
    "SamplerEntry": ("`sampler`", "a name, or a mapping"),
    "AugmentSpec": ("`augment`", "a mapping"),
}
LINKS = {
    "backbone": "[a name, or a mapping](#backbone)",
    "datasets": "[a list of names or mappings](#datasets-retention)",
    "retention": "[a list of names or mappings](#datasets-retention)",
    "methods": "[a list of names or mappings](#methods)",
    "sampler": "[a name, or a mapping](#sampler)",
    "augment": "[a mapping](#augment)",
}
INTRODUCTION = """\
# Suites: every key

A suite is a YAML file that says what is compared: one backbone, data sets × shots × seeds ×
methods, under one protocol. This page is written from the program (`python -m
scripts.suite_reference`).

```yaml
backbone: glyphs
datasets: [digits, letters]
shots: [1, 4, 16]
seeds: [1, 2, 3]
retention: [glyph_names]          # where forgetting is measured
methods:
  - zero_shot
  - {name: lora, config: {steps: 90, batch: 16, lr: 1.0e-2}}
  - {name: comp_lora, config: {steps: 90, batch: 16, lr: 2.0e-2, keep: [0.25, 0.5]}}
```

- It is YAML 1.2: `no` is a word, `010` is ten, `1e-3` is a number. The only item of a list may
  stand for the list: `shots: 4`.
- Paths are relative to the suite file; `$VARIABLES` in the paths of data sets are filled in.
- A list under a method's `config` is a grid: a row for each value. For a setting that is itself a
  list (`sites: [q, v]`), a list of lists is.
- Keys that begin with `x-` mean nothing: they hold what `&anchors` name and `*aliases` repeat.
- An unknown key or a value that cannot be is refused with file, line, and what is right.
- For completion and checks while you type, `harness schema > suite.schema.json`, and in the first
  line of a suite `# yaml-language-server: $schema=suite.schema.json`. The schema has the settings
  of every method that is installed.
- `harness plan` shows the cells that a suite has and what is missing for them; nothing is run.
"""


def page() -> str:
    """The whole page."""
    schema = Suite.model_json_schema()
    parts = [INTRODUCTION, "## A suite\n", *_table(schema, schema)]
    for name, (title, kind) in SECTIONS.items():
        found = schema["$defs"][name]
        mapping = next(c for c in found.get("anyOf", [found]) if "properties" in c)
        parts += [f"\n## {title}\n", f"{kind.capitalize()}. {_one_line(mapping['description'])}\n"]
        parts += _table(mapping, schema)
    return "\n".join(parts) + "\n"


def _table(mapping: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, found in mapping["properties"].items():
        kind = LINKS.get(key) if mapping is schema else None
        kind = kind or expected(found, schema).removesuffix(", or null")
        needed = key in mapping.get("required", ())
        default = "**needed**" if needed else _default(found.get("default"))
        meaning = _one_line(found.get("description", ""))
        yield "| " + " | ".join(map(_cell, (f"`{key}`", kind, default, meaning))) + " |"


def _default(value: Any) -> str:
    return "" if value in (None, "", {}) else f"`{quoted(value)}`".replace('"', "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
