"""Whether a backbone can read a prompt, told before any model is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backbones.spec import EMBEDDED, HUB, BackboneError, BackboneSpec
from harness.backbones.tokens import adapt_tokenizer
from harness.backbones.weights import is_open_clip

_SPECIAL = 2
"""The tokens of start and end."""
_CONTEXT = 77
"""Of CLIP, and of an open_clip configuration that does not say."""


class PromptLimit:
    """How many tokens a backbone's text tower holds, and which prompts have more."""

    def __init__(self, spec: BackboneSpec) -> None:
        self._spec = spec
        self._text: tuple[int, Any] | None = None

    def too_long(self, names: Sequence[str], templates: Sequence[str]) -> Iterator[Long]:
        """The first prompt of each class that has more tokens than the context holds.

        A token is at least a byte, so the tokenizer is asked about long prompts only; a prompt
        passes where there is no telling: pre-computed features, or a tokenizer that is not here.
        """
        if self._spec.features is not None:
            return
        length, tokenizer = self._tower()
        for name in names:
            for template in templates:
                prompt = template.format(name)
                if tokenizer is None or len(prompt.encode()) + _SPECIAL <= length:
                    continue
                count = len(tokenizer.encode(prompt)) + 1 + (tokenizer.sot is not None)
                if count > length:
                    yield Long(name, prompt, count, length)
                    break

    def _tower(self) -> tuple[int, Any]:
        if self._text is None:
            try:
                length, tokenizer = _text_of(self._spec)
                self._text = length, adapt_tokenizer(tokenizer)
            except BackboneError:  # said where weights are looked for
                self._text = _CONTEXT, None
        return self._text


@dataclass(frozen=True)
class Long:
    """A prompt of `count` tokens, where the context holds `length`."""

    name: str
    prompt: str
    count: int
    length: int


def _text_of(spec: BackboneSpec) -> tuple[int, Any]:
    """The context length, and the tokenizer as open_clip has it."""
    from harness.backbones.load import architecture, tokenizer_of

    if spec.model == EMBEDDED:
        from harness.backbones import glyphs

        config = glyphs.load_config()["model_cfg"]
        return config["text_cfg"]["context_length"], glyphs.load_tokenizer()
    if spec.model.startswith(HUB) or is_open_clip(spec):
        config, _ = architecture(spec)
        return config["text_cfg"].get("context_length", _CONTEXT), tokenizer_of(config, spec)
    from harness.backbones.plugin import plugin_parts

    parts = plugin_parts(spec)
    return getattr(parts.model, "context_length", _CONTEXT), parts.tokenizer
