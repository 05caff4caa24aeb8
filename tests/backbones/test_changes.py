"""What can be put on a model, seen, and laid aside; every test against plain linear algebra."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_clip import random_branches
from test_inject import traces
from torch import Tensor, nn
from torch.nn import functional as F

from harness.backbones import Backbone
from harness.backbones.packing import GROUP_WORK

PROMPTS = ["a photo of a cat.", "a photo of a sea urchin.", "a photo of a dog."]


def features(backbone: Backbone) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 32, 32, generator=generator)
    return torch.cat([backbone.encode_image(images), backbone.encode_text(PROMPTS)])


def test_intercept_replaces_an_output_by_any_function_of_input_and_output(
    make: Callable[..., Backbone],
) -> None:
    backbone, edited = make(), make()
    sites = ["vision.0.up", "text.1.down", "vision.2.q", "text.0.out"]
    with torch.no_grad():
        for site in sites:
            edited.sites[site].weight.mul_(3)
            edited.sites[site].bias.mul_(3)
            edited.sites[site].weight[:, 0] += 1
        with backbone.intercept(dict.fromkeys(sites, lambda x, y: 3 * y + x[..., :1])):
            found = features(backbone)
        torch.testing.assert_close(found, features(edited), atol=1e-5, rtol=1e-5)


def test_nested_interceptions_apply_from_the_outside_in(backbone: Backbone) -> None:
    def first(x: Tensor, y: Tensor) -> Tensor:
        return y + 1

    def second(x: Tensor, y: Tensor) -> Tensor:
        return 2 * y

    with torch.no_grad():
        with backbone.intercept({"text.0.v": first}), backbone.intercept({"text.0.v": second}):
            nested = features(backbone)
        with backbone.intercept({"text.0.v": lambda x, y: 2 * (y + 1)}):
            assert torch.equal(features(backbone), nested)


def test_frozen_is_the_frozen_model_inside_everything_and_leaves_it_as_it_was(
    backbone: Backbone,
) -> None:
    before, plain = traces(backbone), features(backbone)
    branches = random_branches(backbone)
    half = {"vision.proj": torch.randn(48, 24)}
    with backbone.inject(branches), backbone.shift(half, 0.5), backbone.substitute(
        {"vision.1.ln_1.bias": torch.randn(48)}
    ):  # fmt: skip
        changed = features(backbone)
        with torch.no_grad(), backbone.frozen():
            assert traces(backbone) == before
            assert torch.equal(features(backbone), plain)
            with backbone.intercept({"text.0.q": lambda x, y: y + 1}), backbone.frozen():
                assert torch.equal(features(backbone), plain)
        again = features(backbone)
        with pytest.raises(ZeroDivisionError), backbone.frozen():
            _ = 1 / 0
        assert torch.equal(features(backbone), again)
    assert torch.equal(changed, again)
    assert not torch.equal(changed, plain)
    assert traces(backbone) == before


def test_a_frozen_pass_between_forward_and_backward_changes_no_gradient(
    backbone: Backbone,
) -> None:
    branches = random_branches(backbone)
    weights = [branch.weight for branch in branches.values()]
    with backbone.inject(branches):
        alone = torch.autograd.grad(features(backbone).sum(), weights)
        loss = features(backbone).sum()
        with torch.no_grad(), backbone.frozen():
            features(backbone)
        between = torch.autograd.grad(loss, weights)
    assert all(map(torch.equal, alone, between))


def gram(backbone: Backbone, site: str, run: Callable[[], Any]) -> tuple[Tensor, float]:
    """Σ weight·x xᵀ and Σ weight over all tokens that a site sees."""
    seen: list[tuple[Tensor, Tensor]] = []
    with backbone.observe([site], lambda _, x, weights: seen.append((x, weights))):
        run()
    assert all(x.shape == (len(weights), backbone.sites[site].in_features) for x, weights in seen)
    sums = sum((x.mT * weights) @ x for x, weights in seen)
    assert isinstance(sums, Tensor)
    return sums, float(sum(weights.sum() for _, weights in seen))


@pytest.mark.parametrize("site", ["text.0.q", "text.1.down", "text.2.k", "text.2.v"])
@pytest.mark.parametrize("work", [0.0, 1e9], ids=["no padding", "one group"])
def test_what_is_seen_in_packed_text_is_what_all_prompts_have_together(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, site: str, work: float
) -> None:
    """Against the sum over prompts that are encoded each by itself, in no pack at all."""
    monkeypatch.setitem(GROUP_WORK, "cpu", work)
    prompts = [[backbone.sot, *backbone.tokenize(p), backbone.eot] for p in PROMPTS]
    together, count = gram(backbone, site, lambda: backbone.encode_prompts(prompts))
    plain, plain_count = gram(backbone, site, lambda: backbone.encode_prompts_plain(prompts))
    assert count == plain_count == sum(map(len, prompts))
    torch.testing.assert_close(together, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("site", ["text.2.q", "text.2.out", "text.2.up"])
def test_behind_the_last_keys_only_end_tokens_are_seen(backbone: Backbone, site: str) -> None:
    _, count = gram(backbone, site, lambda: backbone.encode_text(PROMPTS))
    assert count == len(PROMPTS)


def test_image_tokens_weigh_one_and_the_last_block_has_class_tokens(backbone: Backbone) -> None:
    images = torch.randn(5, 3, 32, 32)
    counts = {
        site: gram(backbone, site, lambda: backbone.encode_image(images))[1]
        for site in ("vision.0.q", "vision.2.k", "vision.2.q", "vision.2.down")
    }
    assert list(counts.values()) == [5 * 17, 5 * 17, 5, 5]


def test_observers_are_told_the_site_and_change_nothing(backbone: Backbone) -> None:
    plain, names = features(backbone), list(backbone.sites)
    seen: list[str] = []

    def take(site: str, x: Tensor, weights: Tensor) -> None:
        assert not x.requires_grad
        seen.append(site)

    with backbone.inject(random_branches(backbone)), backbone.observe(names, take):
        features(backbone)
        with backbone.frozen():
            assert torch.equal(features(backbone), plain)
    assert sorted(seen) == sorted(names), "once each: not of the frozen pass"


def test_every_parameter_has_a_name_by_tower_and_block(backbone: Backbone) -> None:
    names = list(backbone.parameters)
    for name in (
        "vision.conv1.weight",
        "vision.class_embedding",
        "vision.positional_embedding",
        "vision.ln_pre.weight",
        "vision.0.q.weight",
        "vision.2.ln_1.bias",
        "vision.2.down.bias",
        "vision.ln_post.weight",
        "vision.proj",
        "text.token_embedding.weight",
        "text.positional_embedding",
        "text.1.out.bias",
        "text.2.ln_2.weight",
        "text.ln_final.bias",
        "text.text_projection",
    ):
        assert name in names
    ours = {id(tensor) for tensor in backbone.parameters.values()}
    beside = [n for n, p in backbone.model.named_parameters() if id(p) not in ours]
    assert beside == ["logit_scale"], "every parameter but the scale, which no feature reads"
    assert all(name.startswith(("vision.", "text.")) for name in names)


def test_gradients_reach_a_tensor_in_any_parameters_place(backbone: Backbone) -> None:
    """Against the gradients of the same model with its own parameters trained."""
    tensors = {n: p.detach().clone().requires_grad_() for n, p in backbone.parameters.items()}
    with backbone.substitute(tensors):
        found = torch.autograd.grad(features(backbone).square().sum(), list(tensors.values()))
    own = list(backbone.parameters.values())
    for parameter in own:
        parameter.requires_grad_()
    expected = torch.autograd.grad(features(backbone).square().sum(), own)
    for name, a, b in zip(tensors, found, expected, strict=True):
        assert a.abs().sum() > 0, name
        assert torch.equal(a, b), name


def test_a_shift_is_a_changed_parameter_and_its_scale_is_linear(
    make: Callable[..., Backbone],
) -> None:
    backbone, edited = make(), make()
    generator = torch.Generator().manual_seed(0)
    deltas = {
        name: 0.02 * torch.randn(p.shape, generator=generator)
        for name, p in backbone.parameters.items()
    }
    before = traces(backbone)
    with torch.no_grad():
        for name, delta in deltas.items():
            edited.parameters[name].add_(0.75 * delta)
        with backbone.shift(deltas, 0.75):
            torch.testing.assert_close(features(backbone), features(edited), rtol=1e-5, atol=1e-5)
        with backbone.shift(deltas, 0.5), backbone.shift(deltas, 0.25):
            torch.testing.assert_close(features(backbone), features(edited), rtol=1e-5, atol=1e-5)
        with backbone.shift(deltas, 0.0):
            assert torch.equal(features(backbone), features(make()))
    assert traces(backbone) == before


def test_a_shift_is_differentiable(backbone: Backbone) -> None:
    delta = torch.zeros(48, requires_grad=True)
    with backbone.shift({"vision.ln_post.bias": delta}, 2.0):
        features(backbone).sum().backward()
    bias = backbone.parameters["vision.ln_post.bias"].detach().clone().requires_grad_()
    with backbone.substitute({"vision.ln_post.bias": bias}):
        features(backbone).sum().backward()
    assert delta.grad is not None and bias.grad is not None
    torch.testing.assert_close(delta.grad, 2 * bias.grad)


def test_a_name_or_a_shape_that_does_not_fit_is_refused_in_one_line(backbone: Backbone) -> None:
    near = r"'vision\.0\.ln1\.bias'.*did you mean 'vision\.0\.ln_1\.bias'"
    with pytest.raises(KeyError, match=near):
        backbone.substitute({"vision.0.ln1.bias": torch.zeros(48)})
    with pytest.raises(ValueError, match=r"'vision\.0\.q' has shape \(48, 48\).*\(3, 3\)"):
        backbone.shift({"vision.0.q": torch.zeros(3, 3)})
    with pytest.raises(KeyError, match=r"'vision\.0\.qs'.*did you mean 'vision\.0\.q'"):
        backbone.observe(["vision.0.qs"], lambda *_: None)


def test_what_a_branch_sees_is_the_sites_own_input(backbone: Backbone) -> None:
    """With W in the branch and a zero weight beneath, nothing changes."""
    site = backbone.sites["vision.1.up"]
    branch = nn.Linear(site.in_features, site.out_features, bias=False)
    branch.weight.data.copy_(site.weight)
    zero = {"vision.1.up": torch.zeros_like(site.weight)}
    with torch.no_grad(), backbone.inject({"vision.1.up": branch}), backbone.substitute(zero):
        found = features(backbone)
    torch.testing.assert_close(F.normalize(found), F.normalize(features(backbone)))
