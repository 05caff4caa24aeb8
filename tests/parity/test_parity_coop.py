"""CoOp against its released procedure: placeholders tokenised, the context put in their place."""

from typing import Any

import pytest
import torch
from plain_clip import (
    NAMES,
    SCALE,
    coop_rates,
    cross_entropy,
    encode,
    queries,
    task_of,
    tokenizer,
    unit,
    watched,
)
from torch import Tensor

from harness.backbones import Backbone
from harness.methods.prompts.coop import Config, CoOp

SHOTS = 12  # 72 images: two batches of 32 an epoch, and 8 dropped


def prompted(model: Any, context: Tensor, position: str = "end") -> Tensor:
    """(C, d) text features of "[context] name." by the whole text tower at 77 tokens.

    Each prompt is tokenised with a word "X" for every context vector; its embeddings are cut at
    the placeholders and at the end of the name, and put together again around the context.
    """
    tokens = len(context)
    names = [name.replace("_", " ") for name in NAMES]
    ids = tokenizer([" ".join(["X"] * tokens) + f" {name}." for name in names])
    rows = []
    for name, embedded in zip(names, model.token_embedding(ids), strict=True):
        start, suffix = embedded[:1], embedded[1 + tokens :]
        length = len(tokenizer.encode(name))
        word, rest = suffix[:length], suffix[length:]
        before = {"end": tokens, "middle": tokens // 2, "front": 0}[position]
        rows.append(torch.cat([start, context[:before], word, context[before:], rest]))
    x = torch.stack(rows) + model.positional_embedding
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
    return x[torch.arange(len(x)), ids.argmax(-1)] @ model.text_projection


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_prompts_and_logits(backbone: Backbone, model: Any, position: str) -> None:
    config = Config(class_token_position=position, steps=0)  # type: ignore[arg-type]
    classifier = CoOp(config).fit(task_of(backbone, model, 1))
    context = classifier.state()["context"]
    assert context.shape == (16, 32)
    images, batch = queries(model)
    text = unit(prompted(model, context, position))
    expected = SCALE * unit(encode(model, images)) @ text.T
    torch.testing.assert_close(classifier.logits(batch), expected, atol=5e-4, rtol=0)


def test_training_step_for_step(backbone: Backbone, model: Any) -> None:
    task = task_of(backbone, model, SHOTS)
    context = CoOp(Config(steps=0)).fit(task_of(backbone, model, SHOTS)).state()["context"]
    with watched() as found:
        classifier = CoOp(Config(steps=8)).fit(task)
    seen = task.support.seen  # type: ignore[attr-defined]
    assert [len(labels) for _, labels in seen] == [32] * 8

    start = context.clone()
    context = context.clone().requires_grad_()
    optimizer = torch.optim.SGD([context], lr=0.002, momentum=0.9, weight_decay=5e-4)
    losses = []
    for rate, (images, labels) in zip(coop_rates(8, 2, 4, 0.002), seen, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        loss = cross_entropy(encode(model, images), prompted(model, context), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.losses == pytest.approx(losses, rel=1e-5)
    moved = float((context - start).detach().norm())
    assert moved > 0.05 * float(start.norm()), "the training did something"
    off = float((classifier.state()["context"] - context).detach().norm())
    assert off < 1e-4 * moved


def test_optimiser_and_schedule_of_the_defaults(backbone: Backbone, model: Any) -> None:
    """12 shots: 200 epochs of 2 steps; the first epoch at 1e-5."""
    with watched(stop=9) as found:
        CoOp().fit(task_of(backbone, model, SHOTS))
    assert found.rates == pytest.approx(coop_rates(9, 2, 200, 0.002), rel=1e-12)
    assert found.rates[:3] == [1e-5, 1e-5, pytest.approx(0.002)]
    settings = found.settings[0]
    assert (settings["momentum"], settings["weight_decay"]) == (0.9, 5e-4)
    assert (settings["dampening"], settings["nesterov"]) == (0, False)
    assert found.trained == 16 * 32
