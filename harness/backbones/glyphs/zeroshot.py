"""Encoders at the true text length, and zero-shot accuracy, for pre-training and its reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional as F


def encode_text(model: CLIP, tokens: Tensor) -> Tensor:
    """Text features (n, 128) of tokens (n, length), length <= the context length.

    Attention is causal and the feature is read at the end-of-text token, so cutting the padding
    changes nothing.
    """
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    pooled: Tensor = x[torch.arange(len(x), device=x.device), tokens.argmax(-1)]
    features: Tensor = pooled @ model.text_projection
    return features


def encode_image(model: CLIP, images: Tensor) -> Tensor:
    """Image features (n, 128) of images (n, 3, 32, 32) in [0, 1]."""
    features: Tensor = model.visual((images - 0.5) / 0.5)
    return features


@torch.no_grad()
def zero_shot_accuracy(
    model: CLIP,
    tokenizer: Any,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    template: str,
) -> float:
    """Share of images (n, 32, 32, 3) uint8 whose nearest class text is their label's."""
    device = model.logit_scale.device
    tokens = tokenizer([template.format(name) for name in class_names]).to(device)
    texts = F.normalize(encode_text(model, tokens), dim=-1)
    guesses = []
    for start in range(0, len(images), 512):
        x = torch.from_numpy(images[start : start + 512]).to(device).permute(0, 3, 1, 2) / 255
        guesses.append((encode_image(model, x) @ texts.T).argmax(1).cpu())
    return float((torch.cat(guesses).numpy() == labels).mean())
