"""Seeds addressed by names, so that a draw depends on what it is for and on nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def address(*axes: str | int) -> int:
    """A 63-bit seed from the names of the axes it varies along.

    The views of a draw are addressed without the method, so that every method sees the same ones;
    training seeds contain the method's name. Hashed, so that neighbouring seeds share nothing.
    """
    digest = hashlib.sha256(json.dumps(axes).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*axes: str | int) -> torch.Generator:
    """A CPU generator seeded by `address`."""
    import torch

    return torch.Generator().manual_seed(address(*axes))
