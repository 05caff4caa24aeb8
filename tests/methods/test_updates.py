"""The forms of an update: offset and wide ones against whole matrices."""

import torch
import torch.nn.functional as F
from torch import nn

from harness.contract.toy import Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.low_rank.dropout import Dropout
from harness.methods.low_rank.lora import Config, LoRA
from harness.methods.low_rank.update import OffsetUpdate, Update


def drawn(*size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def test_an_offset_update_is_the_rewritten_base(twin):
    """W x + s(BA − B₀A₀)x against (W − sB₀A₀)x + sBA x."""
    w, b0, a0 = drawn(6, 5), drawn(6, 2, seed=1), drawn(2, 5, seed=2)
    update = OffsetUpdate(b0, a0, 0.5)
    update.tensors["a"].data += drawn(2, 5, seed=3)
    x = drawn(9, 5, seed=4)
    found = update.bind(Dropout())(x, F.linear(x, w))
    rewritten = w - 0.5 * b0 @ a0
    expected = F.linear(x, rewritten) + 0.5 * x @ update.tensors["a"].T @ b0.T
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(update.learnt().updated(w), w + update.delta())


def test_an_unmoved_offset_is_exactly_nothing():
    update = OffsetUpdate(drawn(6, 2), drawn(2, 5), 1.7)
    assert not update.learnt().change(drawn(6, 5)).any()
    assert update.bind(Dropout())(drawn(9, 5), torch.zeros(9, 6)).abs().max() < 1e-5


def test_both_halves_of_an_offset_see_the_same_dropped_inputs():
    """So that the start is the frozen model in training, too."""
    update = OffsetUpdate(drawn(6, 2), drawn(2, 5), 1.0)
    drop = Dropout(0.5, torch.Generator().manual_seed(0))
    assert update.bind(drop)(drawn(50, 5), torch.zeros(50, 6)).abs().max() < 1e-5


class Principal(LoRA):
    """PiSSA's start, from the weight's own leading directions."""

    name = "principal"

    def update(self, site, linear, generator):
        u, sigma, vt = torch.linalg.svd(linear.weight)
        root = sigma[: self.config.rank].sqrt()
        return OffsetUpdate(
            u[:, : len(root)] * root, root[:, None] * vt[: len(root)], self.config.scale
        )


def test_a_start_that_is_not_zero_is_exactly_the_frozen_model(backbone):
    task, images = Planted(backbone).task(), probe(backbone)
    untrained = Principal(Config(steps=0)).fit(task)
    assert torch.equal(untrained.logits(images), ZeroShot().fit(task).logits(images))
    trained = Principal(Config(steps=3, lr=0.01)).fit(Planted(backbone).task())
    assert (trained.logits(images) - untrained.logits(images)).abs().max() > 0.01


class Whole(Update):
    """ΔW = diag(m) of rank n: factors as wide as the weight."""

    def __init__(self, linear):
        self.m = torch.zeros(min(linear.weight.shape))
        self.tensors = {"m": self.m}

    def factors(self):
        n = len(self.m)
        return torch.diag(self.m), torch.eye(n)


def test_wide_factors_are_multiplied_out_once():
    update = Whole(nn.Linear(5, 5))
    update.m += drawn(5)
    x = drawn(9, 5, seed=1)
    found = update.bind(Dropout())(x, torch.zeros(9, 5))
    torch.testing.assert_close(found, x * update.m)
    drop = Dropout(0.25, torch.Generator().manual_seed(0))
    kept = update.bind(drop)(torch.ones(4000, 5), torch.zeros(4000, 5)).mean(0)
    torch.testing.assert_close(kept, update.m, atol=0.05, rtol=0.1)
