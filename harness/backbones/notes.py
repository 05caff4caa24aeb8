"""What a reader of a backbone's numbers should know: how its images may differ from training's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.backbones.spec import HUB, RANDOM, BackboneSpec
from harness.errors import few


def notes_of(spec: BackboneSpec, preprocess: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences for the plan and the records; none where nothing is in doubt.

    Args:
        preprocess: as `load.architecture` tells it.
    """
    notes = ["random weights"] if spec.pretrained == RANDOM else []
    how, filtered = preprocess.get("resize_mode"), preprocess.get("interpolation")
    if how not in (None, "shortest"):
        notes.append(f"trained on images resized by {how!r}; here short side, then centre crop")
    if filtered not in (None, "bicubic"):
        notes.append(f"trained on images resized by a {filtered} filter; here bicubic")
    if spec.checkpoint is not None and spec.pretrained is None:
        notes += _of_an_untagged_file(spec)
    return tuple(notes)


def _of_an_untagged_file(spec: BackboneSpec) -> list[str]:
    """Weights that do not say which mean and std they were trained with are read with OpenAI's:
    said where every published tag of the architecture has others."""
    import open_clip

    if spec.model.startswith(HUB):
        return []
    assumed = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    tags: dict[tuple[Any, Any], list[str]] = {}
    for tag in open_clip.pretrained.list_pretrained_tags_by_model(spec.model):
        config = open_clip.get_pretrained_cfg(spec.model, tag)
        images = tuple(config.get("mean", assumed[0])), tuple(config.get("std", assumed[1]))
        tags.setdefault(images, []).append(tag)
    if not tags or assumed in tags:
        return []
    others = "; ".join(
        f"{few(names, 3)}: mean {list(mean)}, std {list(std)}"
        for (mean, std), names in tags.items()
    )
    return [
        f"{spec.checkpoint.name if spec.checkpoint else spec.name}: read with OpenAI's mean and "
        f"std, which no published weights of {spec.model} have ({others}); to read it with those "
        "of a tag, name the tag too: pretrained: TAG"
    ]
