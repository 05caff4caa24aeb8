"""Third-party backbones: what their function returns, and what identifies it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from harness import registry
from harness.backbones.fingerprint import fingerprint_of
from harness.backbones.spec import EMBEDDED, BackboneError, BackboneSpec, Parts
from harness.backbones.tokens import vocabulary_of
from harness.canonical import content_id
from harness.errors import did_you_mean
from harness.source import source_hash
from harness.wording import named

GROUP = "harness.backbones"


@lru_cache(maxsize=4)
def plugin_parts(spec: BackboneSpec) -> Parts:
    """What a third-party backbone is made of, built by a function registered under `GROUP`.

    The function takes no arguments and returns (open_clip-like model, tokenizer, preprocessing);
    the last holds "mean" and "std" (three numbers each) and may tell the "interpolation" and
    "resize_mode" that the weights were trained with. The fingerprint is over the function's source
    (its file and what that imports from its own package), its name, the weights, the image size,
    the preprocessing and the tokenizer's vocabulary: editing any of them makes cells stale,
    moving the file does not.

    Raises:
        BackboneError: unknown name; the function fails, or returns something else.
    """
    known = [EMBEDDED, *registry.plugins(GROUP)]
    if ".py:" not in spec.model and spec.model not in known:
        raise BackboneError(
            f'unknown backbone "{spec.model}"{did_you_mean(spec.model, known)}; for an open_clip '
            f"model say which weights: {{model: {spec.model}, pretrained: TAG}}, "
            "pretrained: random, or checkpoint: PATH"
        )
    build = registry.find(GROUP, spec.model)
    try:
        built = build()
    except Exception as error:  # somebody else's code
        raise BackboneError(f'backbone "{spec.model}": {named(error)}') from error
    try:
        model, tokenizer, given = built
        preprocess = {**given, "mean": _three(given["mean"]), "std": _three(given["std"])}
        size = model.visual.image_size
        identity = {
            "name": spec.name,
            "source": source_hash(spec.model, GROUP),
            "weights": fingerprint_of(model),
            "image_size": list(size) if isinstance(size, tuple | list) else size,
            "preprocess": preprocess,
            "vocabulary": vocabulary_of(tokenizer),
        }
        return Parts(model, tokenizer, preprocess, content_id(identity))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BackboneError(
            f'backbone "{spec.model}" returned {_kind(built)} ({named(error)}); '
            'expected (open_clip model, tokenizer, {"mean": (r, g, b), "std": (r, g, b)})'
        ) from error


def _three(values: Any) -> list[float]:
    r, g, b = (float(value) for value in values)
    return [r, g, b]


def _kind(value: Any) -> str:
    if not isinstance(value, tuple):
        return type(value).__name__
    return f"({', '.join(type(part).__name__ for part in value)})"
