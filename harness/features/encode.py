"""From images to frozen features, the same way for support and test: equal batches, equal bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harness.features.preprocess import preprocess
from harness.features.threads import parallel
from harness.store.record import SCHEMA

if TYPE_CHECKING:
    from harness.backbones import Backbone

BATCH = 256
"""Images per batch, everywhere."""

_PHOTOGRAPH = 128
"""Pixels per side from which on preprocessing an image takes longer than starting a thread."""


def to_tensor(images: Sequence[np.ndarray], backbone: Backbone) -> Tensor:
    """(n, 3, H, W) test-time views of uint8 (H, W, 3) images, on the backbone's device."""
    size, mean, std = backbone.image_size, backbone.mean, backbone.std

    def view(image: np.ndarray) -> Tensor:
        return preprocess(image, size, mean, std)

    # Photographs are resized on several threads; a glyph is done before it is handed to one.
    views = parallel(view, images) if size >= _PHOTOGRAPH else [view(image) for image in images]
    return torch.stack(views).to(backbone.device)


@torch.no_grad()
def encode(images: Tensor, backbone: Backbone) -> Tensor:
    """(n, d) features of (n, 3, H, W) preprocessed images, `BATCH` at a time."""
    chunks = torch.split(images, BATCH)
    return torch.cat([backbone.encode_image(chunk.to(backbone.device)) for chunk in chunks])


def encoder_key(backbone: Backbone) -> dict[str, object]:
    """What of the engine and a backbone can change an image feature, for the feature cache."""
    return {
        "schema": SCHEMA,
        "weights": backbone.fingerprint,
        "precision": backbone.precision,
        "preprocess": [backbone.image_size, list(backbone.mean), list(backbone.std)],
        "device": backbone.device.type,
    }
