"""Features that say nothing: not numbers, zeros, or the same for everything."""

from __future__ import annotations

from torch import Tensor

SPREAD = 1e-6
"""Features that differ by less than this share of their largest entry are the same, as the order
of summation in a batch moves the last bits."""


def fault(features: Tensor, several: bool = False) -> str | None:
    """What is wrong with (n, d) features, or None; `several`: they are of different classes."""
    count = len(features)
    finite = features.isfinite().all(dim=1)
    if not finite.all():
        return f"have NaN or infinity in {count - int(finite.sum())} of {count} rows"
    zero = (features == 0).all(dim=1)
    if zero.any():
        return f"are zero in {int(zero.sum())} of {count} rows"
    if several and (features - features[0]).abs().max() <= SPREAD * features.abs().max():
        return f"are the same in all {count} rows"
    return None
