"""CLIP-LoRA against a plain form: q, k, v as modules of their own, each with its pair A, B."""

import copy
import math
from typing import Any

import pytest
import torch
from plain_clip import (
    SCALE,
    LowRank,
    PlainAttention,
    attentions,
    cross_entropy,
    encode,
    queries,
    split,
    task_of,
    text_features,
    unit,
    watched,
)
from torch import Tensor, nn

from harness.backbones import Backbone
from harness.methods.low_rank.lora import Config, LoRA

SHOTS = 6  # 36 images: batches of 32 and 4
S = 1 / math.sqrt(2)  # α/√r


def adapted(model: Any, state: dict[str, Tensor]) -> tuple[Any, dict[str, LowRank]]:
    """A copy of the model with a branch at q, k and v of every block of both encoders.

    A as a fit begins with, from `state`; B zero.
    """
    model, branches = copy.deepcopy(model), {}
    for place, block in attentions(model):
        parts: dict[str, nn.Module] = {}
        for part, (weight, bias) in split(block.attn).items():
            a = state[f"{place}.{part}.down"]
            branch = LowRank(weight, bias, a, torch.zeros(len(weight), 2), S)
            parts[part] = branches[f"{place}.{part}"] = branch
        block.attn = PlainAttention(block.attn, parts)
    return model, branches


def rate(step: int, steps: int) -> float:
    """A cosine by steps from 2e-4 down to 1e-6."""
    return 1e-6 + (2e-4 - 1e-6) * 0.5 * (1 + math.cos(math.pi * step / steps))


def test_training_step_for_step(backbone: Backbone, model: Any) -> None:
    task = task_of(backbone, model, SHOTS)
    start = LoRA(Config(steps=0)).fit(task_of(backbone, model, SHOTS)).state()
    with watched() as found:
        classifier = LoRA(Config(steps=8, dropout=0.0)).fit(task)
    seen = task.support.seen  # type: ignore[attr-defined]
    assert [len(labels) for _, labels in seen] == [32, 4] * 4

    plain, branches = adapted(model, start)
    trained = [p for branch in branches.values() for p in branch.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-2)
    losses = []
    for step, (images, labels) in enumerate(seen):
        optimizer.param_groups[0]["lr"] = rate(step, 8)
        loss = cross_entropy(plain.encode_image(images), text_features(plain), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.losses == pytest.approx(losses, rel=1e-5)
    assert found.rates == pytest.approx([rate(step, 8) for step in range(8)], rel=1e-12)
    assert found.trained == sum(p.numel() for p in trained)

    state = classifier.state()
    assert {name.rpartition(".")[0] for name in state} == branches.keys()
    for site, branch in branches.items():
        delta = branch.update().detach()
        off = state[f"{site}.up"] @ state[f"{site}.down"] - delta
        assert float(off.norm()) < 1e-4 * float(delta.norm()), site
    images, batch = queries(model)
    with torch.no_grad():
        expected = SCALE * unit(encode(plain, images)) @ text_features(plain).T
        frozen = SCALE * unit(encode(model, images)) @ task.text_features.T
    found_logits = classifier.logits(batch)
    assert (expected - frozen).abs().max() > 0.05, "the training did something"
    torch.testing.assert_close(found_logits, expected, atol=5e-4, rtol=0)


def test_optimiser_and_schedule_of_the_defaults(backbone: Backbone, model: Any) -> None:
    """500·K steps of AdamW with PyTorch's β and ε, weight decay 1e-2."""
    with watched(stop=9) as found:
        LoRA().fit(task_of(backbone, model, SHOTS))
    assert found.rates == pytest.approx([rate(step, 3000) for step in range(9)], rel=1e-12)
    settings = found.settings[0]
    assert (settings["betas"], settings["eps"]) == ((0.9, 0.999), 1e-8)
    assert (settings["weight_decay"], settings["amsgrad"]) == (1e-2, False)
    assert found.trained == 2 * 3 * (2 * 2 * 48 + 2 * 2 * 32)


def test_dropout_of_the_defaults(backbone: Backbone, model: Any) -> None:
    """In training every branch drops a quarter of its inputs and scales the rest by 4/3.

    The branches of the second step are asked from outside: one-hot tokens come out as a column of
    4/3·ΔW, ΔW what one step has learnt, or as nothing where the one input was dropped.
    """
    used: list[dict[str, Any]] = []
    intercepted = backbone.intercept

    def watch(branches: Any) -> Any:
        used.append(dict(branches))
        return intercepted(branches)

    learnt = LoRA(Config(steps=1)).fit(task_of(backbone, model, SHOTS)).state()
    with pytest.MonkeyPatch.context() as patch, watched(stop=2):
        patch.setattr(backbone, "intercept", watch)
        LoRA(Config(steps=2)).fit(task_of(backbone, model, SHOTS))
    assert [len(step) for step in used] == [12, 12]
    tokens, dropped = 4000, []
    for site, branch in used[1].items():
        inputs = torch.zeros(tokens, backbone.sites[site].in_features)
        inputs[:, 7] = 1.0
        nothing = torch.zeros(tokens, backbone.sites[site].out_features)
        with torch.no_grad():
            outputs, again = branch(inputs, nothing), branch(inputs, nothing)
        kept = outputs.abs().sum(1) > 0
        column = 4 / 3 * (learnt[f"{site}.up"] @ learnt[f"{site}.down"])[:, 7]
        expected = column.expand(int(kept.sum()), -1)
        torch.testing.assert_close(outputs[kept], expected, atol=1e-8, rtol=1e-4)
        assert not torch.equal(outputs, again), "a new mask every time"
        dropped.append(1 - float(kept.float().mean()))
    assert dropped == pytest.approx([0.25] * 12, abs=4 * math.sqrt(0.25 * 0.75 / tokens))
