"""What identifies the weights of a model that has no file: their bytes."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint_of(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a model's weights, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {flat.dtype} {tuple(flat.shape)}\n".encode())
        digest.update(flat.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
