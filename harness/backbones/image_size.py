"""Weights that were trained at another image size, told from their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from harness.backbones.spec import BackboneError, BackboneSpec

POSITIONS = "visual.positional_embedding"


def check_image_size(
    path: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any], spec: BackboneSpec
) -> None:
    """Refuse weights whose image positions are not as many as the architecture has.

    For the plain ViT towers of open_clip (one learnt position per patch, and one for the class
    token). Whatever else does not fit is refused by `checkpoint.fitted`.

    Raises:
        BackboneError: names both shapes, and the architecture that the weights fit, if there is.
    """
    vision = config["vision_cfg"]
    here = positions(vision)
    if here is None or POSITIONS not in weights or weights[POSITIONS].ndim != 2:
        return
    rows, width = weights[POSITIONS].shape
    if rows != here:
        raise BackboneError(
            f"{path}: {POSITIONS} has shape {(rows, width)}, {spec.model} at "
            f"{vision['image_size']} pixels needs {(here, vision['width'])}; {_right(config, rows)}"
        )


def positions(vision: Mapping[str, Any]) -> int | None:
    """Patches and the class token of a plain ViT tower; None for a tower of another kind."""
    size, patch = vision.get("image_size"), vision.get("patch_size")
    if not isinstance(size, int) or not isinstance(patch, int):
        return None
    return int((size // patch) ** 2 + 1)


def _right(config: Mapping[str, Any], rows: int) -> str:
    """What to write instead: the architecture that differs in nothing but the image size."""
    import open_clip

    def without_size(other: Mapping[str, Any]) -> dict[str, Any]:
        vision = {k: v for k, v in other["vision_cfg"].items() if k != "image_size"}
        return {**other, "vision_cfg": vision}

    for name in open_clip.list_models():
        other = open_clip.get_model_config(name)
        if without_size(other) == without_size(config) and positions(other["vision_cfg"]) == rows:
            size = other["vision_cfg"]["image_size"]
            return f"the weights were trained at {size} pixels: write model: {name}"
    return "use the architecture that the weights were trained in"
