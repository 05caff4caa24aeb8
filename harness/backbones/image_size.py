"""Weights that were trained at another image size, told from the shapes in their file's header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.backbones.spec import BackboneError, BackboneSpec

POSITIONS = "visual.positional_embedding"


def check_image_size(path: Path, config: Mapping[str, Any], spec: BackboneSpec) -> None:
    """Refuse weights whose image positions are not as many as the architecture has.

    Read from the header of a safetensors file, without the weights; for the plain ViT towers of
    open_clip (one learnt position per patch, and one for the class token). Whatever else does not
    fit is refused when the weights are loaded.

    Raises:
        BackboneError: names both shapes, and the architecture that the weights fit, if there is.
    """
    vision = config["vision_cfg"]
    here = positions(vision)
    if path.suffix != ".safetensors" or here is None:
        return
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        if POSITIONS not in file.keys():  # a safetensors file is no mapping
            return
        rows, width = file.get_slice(POSITIONS).get_shape()
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
