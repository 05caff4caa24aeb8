"""Singular subspaces of frozen weights: which directions a model already uses, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Spectrum:
    """W = U diag(σ) Vᵀ: `u` (out, out), `sigma` (min(out, in),) descending, `v` (in, in)."""

    u: Tensor
    sigma: Tensor
    v: Tensor


_known: WeakKeyDictionary[nn.Linear, tuple[int, Spectrum]] = WeakKeyDictionary()


def spectrum(linear: nn.Linear) -> Spectrum:
    """The full singular value decomposition of a linear's weight, computed in float64.

    Kept for as long as the linear lives and its weight is not written to: a worker fits many
    cells on the same frozen weights.
    """
    version, found = _known.get(linear, (-1, None))
    if found is None or version != linear.weight._version:
        u, sigma, vt = torch.linalg.svd(linear.weight.detach().double())
        found = Spectrum(u.float(), sigma.float(), vt.T.contiguous().float())
        _known[linear] = (linear.weight._version, found)
    return found


def leading(sigma: Tensor, keep: float, keep_as: str) -> int:
    """k, how many of the singular values (n,) are principal.

    `keep_as` "count": k = keep; "ratio": k = keep·n, rounded; "energy": the smallest k whose
    σ₁² + … + σ_k² is at least the share `keep` of the whole.
    """
    if keep_as == "count":
        return int(keep)
    if keep_as == "ratio":
        return int(keep * len(sigma) + 0.5)
    energy = sigma.double().square().cumsum(0)
    return int((energy < keep * energy[-1]).sum()) + 1 if keep > 0 else 0


def leakage(
    deltas: Mapping[nn.Linear, Tensor], protected: Mapping[nn.Linear, int]
) -> dict[str, float]:
    """How much of an update lies in the principal singular subspaces of the weights it changes.

    Summed over the linears: left Σ‖U_kᵀΔW‖² / Σ‖ΔW‖², right Σ‖ΔW V_k‖² / Σ‖ΔW‖², with k from
    `protected`. 0 is none (or no update at all), 1 everything; an update without preference has
    Σk/Σn, reported as `subspace_share`.
    """
    left = right = whole = 0.0
    for linear, delta in deltas.items():
        basis, k, change = spectrum(linear), protected[linear], delta.double()
        left += float((basis.u[:, :k].double().T @ change).square().sum())
        right += float((change @ basis.v[:, :k].double()).square().sum())
        whole += float(change.square().sum())
    directions = sum(min(linear.weight.shape) for linear in deltas)
    return {
        "subspace_leakage_left": left / whole if whole else 0.0,
        "subspace_leakage_right": right / whole if whole else 0.0,
        "subspace_share": sum(protected.values()) / directions,
    }
