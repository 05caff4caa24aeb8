"""CLIP-Adapter against its released form: `nn.Sequential` on the unnormalised image feature."""

from typing import Any

import pytest
import torch
from plain_clip import SCALE, coop_rates, cross_entropy, encode, queries, task_of, unit, watched
from torch import Tensor, nn

from harness.backbones import Backbone
from harness.methods.heads.clip_adapter import CLIPAdapter, Config

SHOTS = 12  # 72 images: two batches of 32 an epoch, and 8 dropped
RATIO = 0.2


def adapter(state: dict[str, Tensor]) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Linear(24, 6, bias=False), nn.ReLU(), nn.Linear(6, 24, bias=False), nn.ReLU()
    )
    layers.load_state_dict({"0.weight": state["down"].T, "2.weight": state["up"].T})
    return layers


def mixed(layers: nn.Sequential, x: Tensor) -> Tensor:
    return RATIO * layers(x) + (1 - RATIO) * x


def test_adapter_output_and_logits(backbone: Backbone, model: Any) -> None:
    task = task_of(backbone, model, 1)
    classifier = CLIPAdapter(Config(steps=0)).fit(task)
    layers = adapter(classifier.state())
    assert all(bool(layers[i].weight.abs().max() <= bound) for i, bound in ((0, 24**-0.5), (2, 1)))
    images, batch = queries(model)
    with torch.no_grad():
        expected = SCALE * unit(mixed(layers, encode(model, images))) @ task.text_features.T
    torch.testing.assert_close(classifier.logits(batch), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lr", [1e-5, 0.05], ids=["released rate", "a rate that moves"])
def test_training_step_for_step(backbone: Backbone, model: Any, lr: float) -> None:
    task = task_of(backbone, model, SHOTS)
    start = CLIPAdapter(Config(steps=0)).fit(task_of(backbone, model, SHOTS)).state()
    with watched() as found:
        state = CLIPAdapter(Config(steps=8, lr=lr)).fit(task).state()
    seen = task.support.seen  # type: ignore[attr-defined]
    assert [len(labels) for _, labels in seen] == [32] * 8

    layers, text = adapter(start), task.text_features
    optimizer = torch.optim.SGD(layers.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    losses = []
    for rate, (images, labels) in zip(coop_rates(8, 2, 4, lr), seen, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        loss = cross_entropy(mixed(layers, encode(model, images)), text, labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.losses == pytest.approx(losses, rel=1e-5)
    for name, layer in (("down", layers[0]), ("up", layers[2])):
        weight = layer.weight.detach().T
        moved = float((weight - start[name]).norm())
        assert moved > 0
        assert float((weight - state[name]).norm()) < 1e-3 * moved


def test_optimiser_and_schedule_of_the_defaults(backbone: Backbone, model: Any) -> None:
    """The rate is reported as 1e-5; the trainer around it is CoOp's."""
    with watched(stop=9) as found:
        CLIPAdapter().fit(task_of(backbone, model, SHOTS))
    assert found.rates == pytest.approx(coop_rates(9, 2, 200, 1e-5), rel=1e-12)
    settings = found.settings[0]
    assert (settings["momentum"], settings["weight_decay"]) == (0.9, 5e-4)
    assert found.trained == 2 * 24 * 6
