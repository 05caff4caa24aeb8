"""docs/backbones.md: every example runs, names what there is, and leaves the model as it was."""

import re
from pathlib import Path
from typing import Any

import pytest
from test_inject import traces

from harness.backbones import Backbone
from harness.backbones.adaptable import Adaptable

PAGE = (Path(__file__).parents[2] / "docs/backbones.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run_one_after_the_other_and_leave_no_trace() -> None:
    names: dict[str, Any] = {}
    preamble, *examples = EXAMPLES
    exec(compile(preamble, "docs/backbones.md", "exec"), names)
    before = traces(names["backbone"])
    for example in examples:
        assert len(example.splitlines()) <= 5, example
        exec(compile(example, "docs/backbones.md", "exec"), names)
        assert traces(names["backbone"]) == before, example
    assert not any(p.requires_grad for p in names["backbone"].model.parameters())


@pytest.mark.parametrize(
    "name", [n for kind in (Adaptable, Backbone) for n in vars(kind) if not n.startswith("_")]
)
def test_the_page_names_every_call(name: str) -> None:
    beside = {"has_encoder", "encode_prompts_plain"}
    assert name in beside or re.search(rf"\b{name}\b", PAGE), name
