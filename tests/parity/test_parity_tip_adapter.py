"""Tip-Adapter and Tip-Adapter-F against their released procedure."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_clip import NAMES, SCALE, KnownImages, encode, queries, task_of, unit, watched
from torch import Tensor, nn

from harness.backbones import Backbone
from harness.methods.heads.tip_adapter import ConfigF, TipAdapter, TipAdapterF

SHOTS = 48  # 288 images: a batch of 256 and one of 32 an epoch


def cache(model: Any, support: KnownImages) -> tuple[Tensor, Tensor]:
    """Keys (d, N): the mean of ten augmented passes, then of unit length; values (N, C)."""
    passes = torch.stack([encode(model, support.view(number)) for number in range(10)])
    return unit(passes.mean(0)).T, F.one_hot(support.labels, len(NAMES)).float()


def tip_logits(f: Tensor, affinity: Tensor, values: Tensor, text: Tensor) -> Tensor:
    """α = β = 1 on unit image features f (n, d)."""
    return SCALE * f @ text.T + torch.exp(-(1 - affinity)) @ values


def test_cache_and_logits(backbone: Backbone, model: Any) -> None:
    task = task_of(backbone, model, 3)
    classifier = TipAdapter().fit(task)
    assert isinstance(task.support, KnownImages)
    keys, values = cache(model, task.support)
    torch.testing.assert_close(classifier.state()["keys"], keys, atol=1e-6, rtol=0)
    assert torch.equal(classifier.state()["values"], values)
    images, batch = queries(model)
    f = unit(encode(model, images))
    expected = tip_logits(f, f @ keys, values, task.text_features)
    torch.testing.assert_close(classifier.logits(batch), expected, atol=1e-4, rtol=0)


def test_training_of_the_keys_step_for_step(backbone: Backbone, model: Any) -> None:
    """The whole default: 20 epochs of two steps, a cosine by steps."""
    task = task_of(backbone, model, SHOTS)
    assert isinstance(task.support, KnownImages)
    with watched() as found:
        classifier = TipAdapterF(ConfigF()).fit(task)
    seen = task.support.seen
    assert [len(labels) for _, labels in seen] == [256, 32] * 20

    keys, values = cache(model, task.support)
    layer = nn.Linear(*keys.shape, bias=False)
    layer.weight = nn.Parameter(keys.T.clone())
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3, eps=1e-4)
    losses, rates = [], []
    for step, (images, labels) in enumerate(seen):
        rates.append(1e-3 * 0.5 * (1 + math.cos(math.pi * step / 40)))
        optimizer.param_groups[0]["lr"] = rates[-1]
        f = unit(encode(model, images))
        loss = F.cross_entropy(tip_logits(f, layer(f), values, task.text_features), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.rates == pytest.approx(rates, rel=1e-12)
    assert found.losses == pytest.approx(losses, rel=1e-5)
    assert found.trained == keys.numel() == 24 * 288
    defaults = optimizer.param_groups[0]
    for setting in ("betas", "eps", "weight_decay", "amsgrad"):
        assert found.settings[0][setting] == defaults[setting], setting
    moved = float((layer.weight.detach() - keys.T).norm())
    assert moved > 0.01 * float(keys.norm())
    assert float((classifier.state()["keys"] - layer.weight.detach().T).norm()) < 1e-3 * moved
    images, batch = queries(model)
    f = unit(encode(model, images))
    with torch.no_grad():
        expected = tip_logits(f, layer(f), values, task.text_features)
    torch.testing.assert_close(classifier.logits(batch), expected, atol=1e-4, rtol=0)
