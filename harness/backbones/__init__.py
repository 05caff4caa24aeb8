"""Backbones: open_clip models as methods see them.

Importing this package loads neither open_clip nor weights.
"""

from harness.backbones.backbone import Backbone

__all__ = ["Backbone"]
