"""One text feature per class, out of those under several templates."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def ensemble(raw: Tensor) -> Tensor:
    """(P, C, d) features → (C, d): the normalised mean over templates of normalised features."""
    views = F.normalize(raw, dim=-1)
    return views[0] if len(views) == 1 else F.normalize(views.mean(0), dim=-1)
