"""What preprocessing a backbone's numbers are made with, told without building the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.backbones.spec import EMBEDDED, HUB, BackboneSpec
from harness.backbones.weights import embedded_files, is_open_clip
from harness.store.identity import Preprocessing

if TYPE_CHECKING:
    from harness.backbones.backbone import Backbone

INTERPOLATION, RESIZE_MODE = "bicubic", "shortest"
"""What `harness.features.preprocess` does, whichever way the weights were trained; a backbone's
notes say where that was another."""


def preprocessing_of(spec: BackboneSpec) -> Preprocessing | None:
    """The preprocessing under a spec; None where a model is only described.

    Raises:
        BackboneError: unknown architecture or tag, or a configuration that is not on this machine.
    """
    if spec.features is not None:
        return None
    if spec.model == EMBEDDED:
        config = json.loads(embedded_files()[0].read_text("utf-8"))
        return _made(config["model_cfg"]["vision_cfg"]["image_size"], config["preprocess_cfg"])
    if spec.model.startswith(HUB) or is_open_clip(spec):
        from harness.backbones.load import architecture

        model, given = architecture(spec)
        return _made(model["vision_cfg"].get("image_size", 224), given)
    from harness.backbones.plugin import plugin_parts

    parts = plugin_parts(spec)
    return _made(parts.model.visual.image_size, parts.preprocess)


def preprocessing_by(backbone: Backbone) -> Preprocessing | None:
    """The preprocessing of a backbone that is loaded."""
    if not backbone.has_encoder:
        return None
    return _made(backbone.image_size, {"mean": backbone.mean, "std": backbone.std})


def _made(size: Any, given: Any) -> Preprocessing:
    side = size if isinstance(size, int) else size[0]
    mean, std = (tuple(map(float, given[name])) for name in ("mean", "std"))
    return Preprocessing(side, mean, std, INTERPOLATION, RESIZE_MODE)  # type: ignore[arg-type]
