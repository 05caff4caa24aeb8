"""What trained tensors start from."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kaiming_uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns) uniform in ±1/√columns: PyTorch's Kaiming-uniform with a = √5."""
    bound = 1 / math.sqrt(columns)
    return torch.empty(rows, columns).uniform_(-bound, bound, generator=generator)
