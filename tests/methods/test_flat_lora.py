"""Flat-LoRA: the noise's law, and LoRA where there is none."""

import math

import pytest
import torch

from harness.contract.toy import Planted, probe
from harness.methods.low_rank.flat_lora import Config, FlatLoRA
from harness.methods.low_rank.lora import LoRA


def test_without_noise_it_is_lora_bit_for_bit(backbone):
    options = {"steps": 4, "lr": 0.02}
    flat = FlatLoRA(Config(rho=0.0, **options)).fit(Planted(backbone).task())
    lora = LoRA(LoRA.Config(**options)).fit(Planted(backbone).task())
    for name, tensor in lora.state().items():
        assert torch.equal(flat.state()[name], tensor)


def test_the_first_step_has_no_noise_and_later_ones_have(backbone):
    def after(steps, total, rho):
        class Stopped(FlatLoRA):
            def schedule(self, *sizes):
                how = super().schedule(*sizes)
                return type(how)(steps, lambda step: 0.02, how.batch)

            def before_step(self, step):
                step.total = total
                super().before_step(step)

        return Stopped(Config(steps=total, rho=rho)).fit(Planted(backbone).task()).state()

    first, plain = after(1, 4, 0.5), after(1, 4, 0.0)
    assert all(torch.equal(first[name], plain[name]) for name in plain), "f₀ = 0"
    second, plain = after(3, 4, 0.5), after(3, 4, 0.0)
    assert not all(torch.equal(second[name], plain[name]) for name in plain)


def test_noise_has_the_stated_norm():
    """E‖ε‖² = (fρ)²‖W′‖², and row by row as ‖W′_i‖²."""
    method = FlatLoRA(Config())
    method.perturbations = torch.Generator().manual_seed(0)
    weight = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    drawn = torch.stack([method.drawn(weight, 0.05) for _ in range(4000)])
    by_row = drawn.square().sum(2).mean(0)
    torch.testing.assert_close(by_row, 0.05**2 * torch.tensor([25.0, 1.0]), rtol=0.06, atol=0)
    assert drawn.mean().abs() < 4 * 0.05 * 5 / 2 / math.sqrt(drawn.numel())


def test_strength_follows_the_half_cosine(backbone):
    """Recovered from the drawn noise: f_t = (1 − cos πt/T)/2 of ρ."""
    found = []

    class Watched(FlatLoRA):
        def drawn(self, weight, strength):
            found.append(strength)
            return super().drawn(weight, strength)

    method = Watched(Config(steps=4, rho=0.1, sites=("v",), encoders="text"))
    method.fit(Planted(backbone).task())
    assert found[:: len(method.updates)] == pytest.approx(
        [0.0, 0.1 * (1 - math.sqrt(0.5)) / 2, 0.05, 0.1 * (1 + math.sqrt(0.5)) / 2]
    )


def test_the_backbone_keeps_its_weights(backbone):
    before = probe(backbone).features
    FlatLoRA(Config(steps=3, rho=1.0)).fit(Planted(backbone).task())
    assert torch.equal(probe(backbone).features, before)
