"""Replicas trained together are the replicas trained one by one."""

from dataclasses import replace

import pytest
import torch

from harness.contract.toy import Planted, probe
from harness.methods.heads.clip_adapter import CLIPAdapter
from harness.methods.heads.tip_adapter import TipAdapterF
from harness.methods.prompts.coop import CoOp

CASES = [
    (CLIPAdapter, {"steps": 25, "views": 2, "batch": 5}, {"ratio": (0.3, 0.8), "lr": (0.1, 1.0)}),
    (
        TipAdapterF,
        {"steps": 25, "views": 2, "train_views": 2},
        {"alpha": (2.0, 9.0), "beta": (1.0, 5.5), "lr": (1e-3, 1e-2)},
    ),
    (CoOp, {"context_tokens": 4, "steps": 6, "views": 2}, {"lr": (1e-3, 1e-2)}),
    (CoOp, {"context_tokens": 2, "class_specific": True, "steps": 4, "views": 1}, {"lr": (1e-2,)}),
    (CLIPAdapter, {"steps": 3, "views": 0, "lr": 0.1}, {"ratio": (0.3, 0.8)}),
    (CLIPAdapter, {"steps": 0, "views": 2}, {"ratio": (0.3, 0.8)}),
]


def replicas(backbone, method, settings, variants, seeds=(1, 2, 3)):
    """Fresh (Config, Task) pairs: every value of every variant, under every seed."""
    configs = [method.Config(**settings)]
    for name, values in variants.items():
        configs = [replace(config, **{name: value}) for config in configs for value in values]
    pairs = []
    for seed in seeds:
        for config in configs:
            task = Planted(backbone).task()
            pairs.append((config, replace(task, generator=torch.Generator().manual_seed(seed))))
    return pairs


@pytest.mark.parametrize(("method", "settings", "variants"), CASES)
def test_together_is_one_by_one(backbone, method, settings, variants):
    alone = [
        method(config).fit(task) for config, task in replicas(backbone, method, settings, variants)
    ]
    together = method.fit_together(replicas(backbone, method, settings, variants))
    images = probe(backbone)
    # Replicas of a prompt take another attention kernel, whose rounding grows with every step.
    tolerance = 1e-4 if method is CoOp else 1e-5
    for one, packed in zip(alone, together, strict=True):
        assert one.state().keys() == packed.state().keys()
        for name, tensor in one.state().items():
            largest = float(tensor.abs().max())
            assert (tensor - packed.state()[name]).abs().max() <= tolerance * largest
        expected, found = one.logits(images), packed.logits(images)
        assert torch.equal(expected.argmax(-1), found.argmax(-1))
        assert (expected - found).abs().max() <= tolerance * expected.abs().max()
        assert one.trainable == packed.trainable
        assert one.details() == pytest.approx(packed.details(), rel=1e-3)


def test_replicas_differ_only_where_a_method_says():
    assert "steps" not in CLIPAdapter.packs and "batch" not in CLIPAdapter.packs
    for method, _, variants in CASES:
        assert set(variants) <= method.packs


def test_one_that_diverges_leaves_the_others_alone(backbone):
    settings, variants = {"steps": 20, "views": 2, "ratio": 0.5}, {"lr": (0.1, 1e30)}
    good, bad = CLIPAdapter.fit_together(
        replicas(backbone, CLIPAdapter, settings, variants, seeds=(1,))
    )
    (pair, _) = replicas(backbone, CLIPAdapter, settings, variants, seeds=(1,))
    alone = CLIPAdapter(pair[0]).fit(pair[1])
    torch.testing.assert_close(good.state()["up"], alone.state()["up"], rtol=1e-5, atol=1e-7)
    assert isinstance(bad, FloatingPointError) and "lower lr = 1e+30" in str(bad)
