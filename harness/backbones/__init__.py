"""Backbones: open_clip models as methods see them.

Names are imported when first used, so that importing this package loads neither torch nor
open_clip.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.backbones.backbone import Backbone
    from harness.backbones.load import load_backbone, preflight
    from harness.backbones.spec import BackboneError, BackboneSpec, describe_backbones
    from harness.backbones.weights import weights_fingerprint

_HOMES = {
    "Backbone": "backbone",
    "BackboneError": "spec",
    "BackboneSpec": "spec",
    "describe_backbones": "spec",
    "load_backbone": "load",
    "preflight": "load",
    "weights_fingerprint": "weights",
}

__all__ = [
    "Backbone",
    "BackboneError",
    "BackboneSpec",
    "describe_backbones",
    "load_backbone",
    "preflight",
    "weights_fingerprint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
