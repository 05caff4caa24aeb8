"""Branches change exactly what they should, and nothing is left of them afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_clip import random_branches
from torch import nn

from harness.backbones import Backbone
from harness.backbones.fingerprint import fingerprint_of

PROMPTS = ["a photo of a cat.", "a photo of a sea urchin."]


def traces(backbone: Backbone) -> tuple[str, list[Any]]:
    """Weights, and every module with its hooks and its own attributes."""
    modules = [
        (name, type(module), len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in backbone.model.named_modules()
    ]
    return fingerprint_of(backbone.model), modules


def test_a_branch_equals_a_changed_weight(make: Callable[..., Backbone]) -> None:
    injected, edited = make(), make()
    branches = random_branches(injected)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        for name, branch in branches.items():
            edited.sites[name].weight += branch.weight
        with injected.inject(branches):
            found = injected.encode_image(images), injected.encode_text(PROMPTS)
        expected = edited.encode_image(images), edited.encode_text(PROMPTS)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_no_trace_is_left(backbone: Backbone) -> None:
    images = torch.randn(2, 3, 32, 32)
    before, frozen = traces(backbone), backbone.encode_image(images)
    with backbone.inject(random_branches(backbone)):
        assert not torch.equal(backbone.encode_image(images), frozen)
        backbone.encode_text(PROMPTS).sum().backward()
    assert traces(backbone) == before
    assert torch.equal(backbone.encode_image(images), frozen)
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_a_substituted_weight_equals_a_branch(backbone: Backbone) -> None:
    branches = random_branches(backbone)
    weights = {name: backbone.sites[name].weight + b.weight for name, b in branches.items()}
    images, before = torch.randn(2, 3, 32, 32), traces(backbone)
    with torch.no_grad():
        with backbone.inject(branches):
            expected = backbone.encode_image(images), backbone.encode_text(PROMPTS)
        with backbone.substitute(weights):
            found = backbone.encode_image(images), backbone.encode_text(PROMPTS)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert traces(backbone) == before


def test_no_substituted_weight_is_left_after_an_exception(backbone: Backbone) -> None:
    before = traces(backbone)
    own = {name: site.weight for name, site in backbone.sites.items()}
    zeros = {name: torch.zeros_like(weight) for name, weight in own.items()}
    with pytest.raises(RuntimeError), backbone.substitute(zeros):
        backbone.encode_image(torch.randn(1, 5, 32, 32))
    assert traces(backbone) == before
    assert all(backbone.sites[name].weight is weight for name, weight in own.items())
    with pytest.raises(KeyError, match="did you mean"):
        backbone.substitute({"vision.0.qs": own["vision.0.q"]}).__enter__()


class Failing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("in the middle of a block")


def test_no_trace_is_left_after_an_exception(backbone: Backbone) -> None:
    before = traces(backbone)
    branches = random_branches(backbone) | {"vision.1.v": Failing()}
    with pytest.raises(RuntimeError, match="middle"), backbone.inject(branches):
        backbone.encode_image(torch.randn(1, 3, 32, 32))
    assert traces(backbone) == before


def test_nested_branches_add_up(backbone: Backbone) -> None:
    one, two = random_branches(backbone, 1), random_branches(backbone, 2)
    both = {name: nn.Linear(b.in_features, b.out_features, False) for name, b in one.items()}
    with torch.no_grad():
        for name, branch in both.items():
            branch.weight.copy_(one[name].weight + two[name].weight)
        with backbone.inject(one), backbone.inject(two):
            nested = backbone.encode_text(PROMPTS)
        with backbone.inject(both):
            summed = backbone.encode_text(PROMPTS)
    torch.testing.assert_close(nested, summed, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_branch_and_nothing_else(backbone: Backbone) -> None:
    branches = random_branches(backbone)
    with backbone.inject(branches):
        image = backbone.encode_image(torch.randn(2, 3, 32, 32))
        (image.sum() + backbone.encode_text(PROMPTS).sum()).backward()
    assert all(branch.weight.grad is not None for branch in branches.values())
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_sites_are_named_in_depth_order(backbone: Backbone) -> None:
    parts = ["q", "k", "v", "out", "up", "down"]
    assert list(backbone.sites) == [
        f"{tower}.{depth}.{part}"
        for tower in ("vision", "text")
        for depth in range(3)
        for part in parts
    ]


def test_an_unknown_site_is_refused_before_anything_is_injected(backbone: Backbone) -> None:
    before = traces(backbone)
    branches = {"vision.0.q": nn.Identity(), "vison.1.q": nn.Identity()}
    with pytest.raises(KeyError, match=r"'vison\.1\.q'.*did you mean 'vision\.1\.q'"):
        with backbone.inject(branches):
            pass
    assert traces(backbone) == before
