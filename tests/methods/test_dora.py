"""DoRA against its formula, written out with whole weights and differentiated by autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.contract.toy import Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.low_rank.dora import DoRA
from harness.methods.low_rank.dropout import Dropout
from harness.methods.low_rank.lora import Config


def linear(weight, bias=None):
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    made.weight = nn.Parameter(weight, False)
    if bias is not None:
        made.bias = nn.Parameter(bias, False)
    return made


def update_of(made, generator=None, **options):
    """A fresh update, ready to be trained."""
    generator = generator or torch.Generator().manual_seed(0)
    update = DoRA(Config(**options)).update("text.0.q", made, generator)
    for tensor in update.tensors.values():
        tensor.requires_grad_()
    return update


def test_by_hand():
    """W = [3, 4], sBA = [0, 1], m = 5: W′ = 5·[3, 5]/√34."""
    update = update_of(linear(torch.tensor([[3.0, 4.0]])), rank=1)
    update.lora.a.data, update.lora.b.data = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0]])
    expected = torch.tensor([[2.5725, 4.2875]])
    found = update.learnt().updated(torch.tensor([[3.0, 4.0]]))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    x = torch.tensor([[1.0, 1.0]])
    applied = update.bind(Dropout())(x, x @ torch.tensor([[3.0], [4.0]]))
    torch.testing.assert_close(applied.detach(), x @ expected.T, atol=1e-4, rtol=0)


def test_gradients_are_those_of_the_whole_weight_with_a_constant_norm():
    generator = torch.Generator().manual_seed(1)
    w, bias, x, target = (
        torch.randn(size, generator=generator) for size in ((6, 5), (6,), (9, 5), (9, 6))
    )
    update = update_of(linear(w, bias), generator, rank=2, alpha=3.0)
    update.lora.b.data.normal_(generator=generator)
    update.m.data *= 1.3
    a, b, m = (
        t.detach().double().requires_grad_() for t in (update.lora.a, update.lora.b, update.m)
    )
    directions = w.double() + 3 / 2**0.5 * b @ a
    whole = (m / directions.detach().norm(dim=1))[:, None] * directions
    ((x.double() @ whole.T + bias - target) ** 2).sum().backward()
    y = F.linear(x, w, bias)
    ((update.bind(Dropout())(x, y) - target) ** 2).sum().backward()
    for mine, theirs in ((update.lora.a, a), (update.lora.b, b), (update.m, m)):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=1e-3, rtol=1e-4)


def test_row_norms_are_the_magnitudes_after_training(backbone):
    method = DoRA(Config(steps=6, lr=0.02))
    classifier = method.fit(Planted(backbone).task())
    for site, update in method.updates.items():
        norms = classifier.weights[site].norm(dim=1)
        torch.testing.assert_close(norms, update.m.detach().abs(), atol=1e-5, rtol=1e-5)
        start = backbone.sites[site].weight.norm(dim=1)
        assert (norms - start).abs().max() > 1e-3, "the magnitudes were trained"


def test_zero_steps_are_exactly_the_frozen_model(backbone):
    task, images = Planted(backbone).task(), probe(backbone)
    classifier = DoRA(Config(steps=0)).fit(task)
    assert torch.equal(classifier.logits(images), ZeroShot().fit(task).logits(images))


def test_merged_weights_score_as_the_branch_does(backbone):
    """Without dropout, one forward pass through the branches is one through W′."""
    task = Planted(backbone).task()
    method = DoRA(Config(steps=4, lr=0.02, dropout=0.0))
    classifier = method.fit(task)
    images = probe(backbone).images
    bound = {site: update.bind(Dropout()) for site, update in method.updates.items()}
    with torch.no_grad(), backbone.intercept(bound):
        features = backbone.encode_image(images)
    with torch.no_grad(), classifier.adapted():
        merged = backbone.encode_image(images)
    torch.testing.assert_close(features, merged, atol=1e-4, rtol=1e-4)


def test_trained_numbers_on_vit_b_16():
    """184,320 of LoRA's and one magnitude for each of 36·768 + 36·512 outputs: 230,400."""
    count = sum(
        tensor.numel()
        for width in (768, 512)
        for tensor in update_of(nn.Linear(width, width)).tensors.values()
    )
    assert 36 * count == 230_400


def test_state_restores(backbone):
    task, images = Planted(backbone).task(), probe(backbone)
    trained = DoRA(Config(steps=3, lr=0.02)).fit(task)
    assert {name.rpartition(".")[2] for name in trained.state()} == {"up", "down", "scale"}
    again = DoRA(Config(steps=3, lr=0.02)).restore(Planted(backbone).task(), trained.state())
    assert torch.equal(again.logits(images), trained.logits(images))
    assert again.trainable == trained.trainable == pytest.approx(12 * (2 * 2 * 64 + 64))
