"""The weight family, by a method of the test's own: every LayerNorm of both encoders."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from harness.contract import run_contract
from harness.contract.toy import MemorySupport, Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.weights.family import Weights, WeightsConfig
from harness.task import NotApplicable


class LayerNorms(Weights):
    name = "layer_norms"
    Config = WeightsConfig

    def chosen(self, backbone):
        return [name for name in backbone.parameters if ".ln_1." in name or ".ln_2." in name]


class Still(MemorySupport):
    """Augmentation that changes nothing."""

    def batch(self, indices, generator):
        return self.plain(indices)


def test_it_keeps_the_contract(backbone):
    assert [c for c in run_contract(LayerNorms, backbone) if c.status != "passed"] == []


def test_first_step_is_adamw_on_the_gradient_of_the_parameters_themselves(backbone, twin):
    """Δ₁ = −lr·sign(∂L/∂θ), decay doing nothing at Δ = 0; the gradient on a twin's own tensors."""
    config = WeightsConfig(steps=1, lr=1e-3, batch=24)
    learnt = LayerNorms(config).fit(Planted(backbone).task(support=Still)).state()
    parameters = {name: twin.parameters[name] for name in learnt}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    task = Planted(twin).task(support=Still)
    features = F.normalize(twin.encode_image(task.support.plain(torch.arange(24))), dim=-1)
    logits = twin.logit_scale * features @ twin.text_features(task.classes).T
    loss = F.cross_entropy(logits, task.support.labels)
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        parameter.requires_grad_(False)
        clear = gradient.abs() > 1e-5
        expected = -1e-3 * gradient.sign()
        torch.testing.assert_close(learnt[name][clear], expected[clear], atol=2e-6, rtol=0)


def test_the_scale_interpolates_from_the_frozen_model(backbone):
    """WiSE-FT: α = 0 is the frozen model, α = 1 what was trained, between them the weights'."""
    config, images = WeightsConfig(steps=5, lr=0.02), probe(backbone)
    logits = {}
    for scale in (0.0, 0.5, 1.0):
        task = Planted(backbone).task()
        classifier = LayerNorms(replace(config, scale=scale)).fit(task)
        logits[scale] = classifier.logits(images)
    assert torch.equal(logits[0.0], ZeroShot().fit(Planted(backbone).task()).logits(images))
    half = {name: 0.5 * delta for name, delta in classifier.state().items()}
    with torch.no_grad(), backbone.shift(half):
        features = F.normalize(backbone.encode_image(images.images), dim=-1)
        text = backbone.text_features(Planted(backbone).classes)
    torch.testing.assert_close(logits[0.5], backbone.logit_scale * features @ text.T)
    assert (logits[1.0] - logits[0.0]).abs().max() > 0.1


def test_work_is_told_before_a_backbone_is_seen():
    work = LayerNorms(WeightsConfig(steps=10, batch=4)).work(classes=3, images=12, shots=4)
    assert (work.steps, work.images_trained, work.prompts_trained) == (10, 40, 30)


def test_a_backbone_without_such_parameters_is_not_applicable(backbone):
    class Nothing(LayerNorms):
        def chosen(self, backbone):
            return []

    with pytest.raises(NotApplicable, match="layer_norms: tiny-0 has no such parameters"):
        Nothing().fit(Planted(backbone).task())
