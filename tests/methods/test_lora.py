import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.contract.toy import OTHER, MemorySupport, Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.low_rank.comp_lora import CompLoRA
from harness.methods.low_rank.comp_lora import Config as CompConfig
from harness.methods.low_rank.dropout import Dropout, bernoulli
from harness.methods.low_rank.lora import Config, LoRA
from harness.run.support import LazyBatch
from harness.task import NotApplicable

METHODS = [(LoRA, Config), (CompLoRA, CompConfig)]


def merged(classifier, twin):
    """`twin` with ΔW added into its weights, as a context manager."""
    from contextlib import contextmanager

    @contextmanager
    def adapted():
        before = {site: twin.sites[site].weight.clone() for site in classifier.deltas}
        with torch.no_grad():
            for site, delta in classifier.deltas.items():
                twin.sites[site].weight += delta.up @ delta.down
        yield twin
        with torch.no_grad():
            for site, weight in before.items():
                twin.sites[site].weight.copy_(weight)

    return adapted()


def started(rows, columns, config, generator):
    """LoRA's update of a linear of that size."""
    return LoRA(config).update("text.0.q", torch.nn.Linear(columns, rows), generator)


def test_parameters_on_vit_b_16():
    """q, k, v of 12 blocks 768 wide and 12 blocks 512 wide, two matrices of rank 2: 184,320."""
    generator = torch.Generator()
    count = sum(
        parameter.numel()
        for width in (768, 512)
        for _ in range(12 * 3)
        for parameter in started(width, width, Config(), generator).tensors.values()
    )
    assert count == 184_320


def test_dropout_keeps_the_stated_share():
    for keep in (0.75, 0.5, 0.9):  # a byte decides the first two, a float the last
        generator = torch.Generator().manual_seed(3)
        drawn = torch.cat(
            [bernoulli(torch.Size((33, 7)), keep, generator).flatten() for _ in range(400)]
        )
        assert set(drawn.tolist()) == {0.0, 1.0}
        spread = math.sqrt(keep * (1 - keep) / len(drawn))
        assert abs(float(drawn.mean()) - keep) < 4 * spread
        pairs = drawn[:-1] * drawn[1:]  # neighbours come from one random word
        assert abs(float(pairs.mean()) - keep**2) < 8 * spread


def test_a_branch_keeps_its_expectation_under_dropout():
    x, up, down = torch.randn(2, 5, 8), torch.randn(6, 2), torch.randn(2, 8)
    drop = Dropout(0.25, torch.Generator().manual_seed(0))

    def branch(x):
        return F.linear(drop.through(x, down), up)

    mean = torch.stack([branch(x) for _ in range(4000)]).mean(0)
    plain = F.linear(Dropout().through(x, down), up)
    assert (mean - plain).abs().max() < 0.1 * plain.abs().max()
    assert not torch.equal(branch(x), branch(x))


def test_trainable_is_counted(backbone):
    for options, sites in (({}, 12), ({"encoders": "vision"}, 6), ({"sites": ("v",)}, 4)):
        classifier = LoRA(Config(steps=0, **options)).fit(Planted(backbone).task())
        assert classifier.trainable == sites * 2 * 2 * 64


def test_defaults_are_clip_loras():
    c = Config()
    assert (c.rank, c.alpha, c.sites, c.encoders, c.dropout) == (
        2,
        1,
        ("q", "k", "v"),
        "both",
        0.25,
    )
    assert (c.lr, c.weight_decay, c.floor_lr, c.batch) == (2e-4, 1e-2, 1e-6, 32)
    assert c.steps_per_shot == 500 and c.steps is None


def test_update_starts_at_zero_with_kaiming_a():
    update = started(6, 100, Config(rank=4, alpha=3.0), torch.Generator().manual_seed(0))
    assert not update.delta().any()
    a, b = update.tensors.values()
    assert a.shape == (4, 100) and b.shape == (6, 4)
    assert 0.09 < a.abs().max() <= 0.1
    b.fill_(1.0)
    torch.testing.assert_close(update.delta(), 3 / math.sqrt(4) * torch.ones(6, 4) @ a)


@pytest.mark.parametrize(("method", "config"), METHODS)
def test_zero_steps_are_exactly_the_frozen_model(backbone, method, config):
    task, images = Planted(backbone).task(), probe(backbone)
    classifier, frozen = method(config(steps=0)).fit(task), ZeroShot().fit(task)
    assert torch.equal(classifier.logits(images), frozen.logits(images))
    assert torch.equal(classifier.rebind(OTHER).logits(images), frozen.rebind(OTHER).logits(images))
    assert classifier.details()["subspace_leakage_left"] == 0.0


@pytest.mark.parametrize(("method", "config"), METHODS)
def test_merged_is_unmerged(backbone, twin, method, config):
    classifier = method(config(steps=4, lr=0.02)).fit(Planted(backbone).task())
    images = probe(backbone)
    with merged(classifier, twin) as adapted, torch.no_grad():
        features = adapted.encode_image(images.images)
        for found, classes in (
            (classifier, Planted(backbone).classes),
            (classifier.rebind(OTHER), OTHER),
        ):
            text = adapted.text_features(classes)
            expected = adapted.logit_scale * F.normalize(features, dim=-1) @ text.T
            torch.testing.assert_close(found.logits(images), expected, atol=1e-4, rtol=0)
    moved = classifier.logits(images) - ZeroShot().fit(Planted(backbone).task()).logits(images)
    assert moved.abs().max() > 0.1, "the training did something"


class Still(MemorySupport):
    """Augmentation that changes nothing."""

    def batch(self, indices, generator):
        return self.plain(indices)


def test_first_step_is_adamw_on_the_chain_rule(backbone, twin):
    """B₁ = −lr·sign(s·(∂L/∂W)·Aᵀ), and A, without a gradient while B = 0, only decays."""
    config = Config(dropout=0.0, steps=1, sites=("v",), lr=1e-3)
    start = LoRA(replace(config, steps=0)).fit(Planted(backbone).task(support=Still)).state()
    end = LoRA(config).fit(Planted(backbone).task(support=Still)).state()
    task = Planted(twin).task(support=Still)
    weights = {site: twin.sites[site].weight for site in twin.sites if site.endswith("v")}
    for weight in weights.values():
        weight.requires_grad_(True)
    images = F.normalize(twin.encode_image(task.support.plain(torch.arange(24))), dim=-1)
    scores = twin.logit_scale * images @ twin.text_features(task.classes).T
    loss = F.cross_entropy(scores, task.support.labels)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    s = 1 / math.sqrt(2)
    for (site, weight), gradient in zip(weights.items(), gradients, strict=True):
        weight.requires_grad_(False)
        down = start[f"{site}.down"]
        torch.testing.assert_close(end[f"{site}.down"], down * (1 - 1e-3 * 1e-2))
        g = s * gradient @ down.T
        clear = g.abs() > 1e-5
        assert clear.float().mean() > 0.8
        b = end[f"{site}.up"] / s
        torch.testing.assert_close(b[clear], -1e-3 * g[clear].sign(), atol=2e-6, rtol=0)


def test_branch_drops_inputs_in_training_only():
    drop = Dropout(0.25, torch.Generator().manual_seed(0))
    ones, eye = torch.ones(20_000, 3), torch.eye(3)
    passed = drop.through(ones, eye)
    assert sorted(passed.unique().tolist()) == [0.0, pytest.approx(4 / 3)]
    assert passed.mean().item() == pytest.approx(1, abs=0.01)
    assert not torch.equal(passed, drop.through(ones, eye)), "a new mask every time"
    assert torch.equal(Dropout(0.25).through(ones, eye), ones)


def test_length_is_500_steps_per_shot(backbone):
    class Enough(Exception):
        pass

    def stop(step, steps):
        assert steps == 2000
        raise Enough

    with pytest.raises(Enough):
        LoRA().fit(Planted(backbone, shots=4).task(progress=stop))


def test_frozen_towers_are_left_alone(backbone, monkeypatch):
    vision = LoRA(Config(steps=2, encoders="vision")).fit(Planted(backbone).task())
    text = LoRA(Config(steps=2, encoders="text", views=2)).fit(Planted(backbone).task())
    assert {name.partition(".")[0] for name in vision.state()} == {"vision"}
    assert {name.partition(".")[0] for name in text.state()} == {"text"}
    assert torch.equal(vision.text, Planted(backbone).task().text_features)
    images = probe(backbone)
    cached = LazyBatch(5, lambda: pytest.fail("read pixels"), lambda: images.features)
    assert text.logits(cached).shape == (5, 6)


def test_leakage_against_numpy(backbone):
    classifier = LoRA(Config(steps=3, lr=0.01)).fit(Planted(backbone).task())
    left = right = whole = 0.0
    for site, delta in classifier.deltas.items():
        u, _, vt = np.linalg.svd(backbone.sites[site].weight.double().numpy())
        change = delta.up.double().numpy() @ delta.down.double().numpy()
        left += np.linalg.norm(u[:, :32].T @ change) ** 2
        right += np.linalg.norm(change @ vt[:32].T) ** 2
        whole += np.linalg.norm(change) ** 2
    details = classifier.details()
    assert details["subspace_leakage_left"] == pytest.approx(left / whole, rel=1e-4)
    assert details["subspace_leakage_right"] == pytest.approx(right / whole, rel=1e-4)
    assert details["subspace_share"] == 0.5
    assert details["last_loss"] < details["first_loss"]


def test_a_backbone_without_sites_is_not_applicable(task):
    bare = SimpleNamespace(
        name="RN50", sites={}, logit_scale=100.0, feature_dim=4, precision="fp32"
    )
    with pytest.raises(NotApplicable, match="RN50 has no linears to adapt in its vision encoder"):
        LoRA().fit(replace(task, backbone=bare))


def test_cached_views_are_refused_where_image_features_move():
    with pytest.raises(ValueError, match='views = 2: expected 0 unless encoders = "text"'):
        Config(views=2)
