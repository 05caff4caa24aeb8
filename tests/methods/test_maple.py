"""MaPLe against its towers written out block by block, on the open_clip model itself."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from harness.contract.toy import OTHER, Planted, probe
from harness.methods.prompts.maple import Config, MaPLe


def couple(state, block):
    return F.linear(
        state[f"text.{block}"], state[f"couple.{block}.weight"], state[f"couple.{block}.bias"]
    )


def image_features(model, images, state, depth):
    """The image tower, all tokens kept to the end: patches, class token, positions, then tokens."""
    tower = model.visual
    patches = tower.conv1(images).flatten(2).transpose(1, 2)
    first = tower.class_embedding.expand(len(images), 1, -1)
    x = torch.cat([first, patches], dim=1) + tower.positional_embedding
    image_tokens = x.shape[1]
    for block, layer in enumerate(tower.transformer.resblocks):
        if block < depth:
            own = couple(state, block).expand(len(images), -1, -1)
            x = torch.cat([x[:, :image_tokens], own], dim=1)
        if block == 0:
            x = tower.ln_pre(x)
        x = layer(x)
    return tower.ln_post(x[:, 0]) @ tower.proj


def text_features(backbone, state, classes, depth):
    """The text tower prompt by prompt: SOT P P of a name . EOT, without any padding."""
    model, rows = backbone.model, []
    for name in classes.names:
        ids = [backbone.sot, 0, 0, *backbone.tokenize(f"of a {name}."), backbone.eot]
        x = model.token_embedding(torch.tensor(ids))
        x = torch.cat([x[:1], state["text.0"], x[3:]]) + model.positional_embedding[: len(ids)]
        mask = torch.full((len(ids), len(ids)), float("-inf")).triu(1)
        x = x[None]
        for block, layer in enumerate(model.transformer.resblocks):
            if 0 < block < depth:
                x = torch.cat([x[:, :1], state[f"text.{block}"][None], x[:, 3:]], dim=1)
            x = layer(x, attn_mask=mask)
        rows.append(model.ln_final(x[0, -1]) @ model.text_projection)
    return torch.stack(rows)


def written_out(backbone, images, state, classes, depth):
    f = F.normalize(image_features(backbone.model, images, state, depth), dim=-1)
    t = F.normalize(text_features(backbone, state, classes, depth), dim=-1)
    return backbone.logit_scale * f @ t.T


@pytest.mark.parametrize("depth", [1, 2])
def test_logits_are_those_of_the_towers_written_out(backbone, depth):
    classifier = MaPLe(Config(steps=3, lr=0.05, depth=depth)).fit(Planted(backbone).task())
    images, state = probe(backbone), classifier.state()
    for found, classes in (
        (classifier, Planted(backbone).classes),
        (classifier.rebind(OTHER), OTHER),
    ):
        with torch.no_grad():
            expected = written_out(backbone, images.images, state, classes, depth)
        torch.testing.assert_close(found.logits(images), expected, atol=1e-3, rtol=1e-4)


def test_first_step_is_sgd_on_both_towers(backbone):
    """p₁ = p₀ − η(∂L/∂p₀ + 5e-4·p₀) of every prompt and coupling, L through both towers."""
    config = Config(batch=64, warmup_lr=0.1)
    start = MaPLe(replace(config, steps=0)).fit(Planted(backbone).task()).state()
    seen = []

    class Watched(MaPLe):
        def image_features(self, step):
            seen.append((step.images.clone(), step.labels))
            return super().image_features(step)

    end = Watched(replace(config, steps=1)).fit(Planted(backbone).task()).state()
    ((images, labels),) = seen
    state = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    logits = written_out(backbone, images, state, Planted(backbone).classes, 2)
    loss = F.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(state.values()))
    for (name, tensor), gradient in zip(start.items(), gradients, strict=True):
        assert gradient.abs().max() > 1e-4, f"{name} gets no gradient"
        expected = tensor - 0.1 * (gradient + 5e-4 * tensor)
        torch.testing.assert_close(end[name], expected, atol=2e-5, rtol=1e-3)


def test_the_order_of_visual_tokens_is_immaterial(backbone):
    state = MaPLe(Config(steps=2, lr=0.05)).fit(Planted(backbone).task()).state()
    images = probe(backbone).images
    with torch.no_grad():
        tokens = {block: couple(state, block) for block in range(2)}
        plain = backbone.encode_image(images, tokens)
        flipped = backbone.encode_image(images, {b: t.flip(0) for b, t in tokens.items()})
    torch.testing.assert_close(plain, flipped, atol=1e-4, rtol=1e-4)


def test_prompts_read_as_stated(backbone):
    ids = MaPLe().prompts(Planted(backbone).task(), Planted(backbone).classes).ids[0]
    assert ids == [backbone.sot, -1, -2, *backbone.tokenize("of a red circle."), backbone.eot]


def test_start(backbone):
    state = MaPLe(Config(steps=0)).fit(Planted(backbone).task()).state()
    words = backbone.token_embedding(backbone.tokenize("a photo"))
    assert torch.equal(state["text.0"], words)
    assert float(state["text.1"].std()) == pytest.approx(0.02, rel=0.25)
    assert set(state) == {"text.0", "text.1"} | {
        f"couple.{block}.{part}" for block in range(2) for part in ("weight", "bias")
    }, "two blocks deep: the tiny model has no more"


def test_trained_numbers_on_vit_b_16():
    """9·(2·512 + 512·768 + 768) = 3,555,072; counted from the shapes of a start."""

    class Wide:
        name, text_blocks, image_blocks, token_dim, context_length = "B/16", 12, 12, 768, 77
        sot, eot = 1, 2

        def tokenize(self, text):
            return [3] * len(text.split())

        def token_embedding(self, ids):
            return torch.zeros(len(ids), 512)

    task = Planted.__new__(Planted)
    task.backbone, task.generator = Wide(), torch.Generator()
    task.classes, task.device = OTHER, torch.device("cpu")
    assert sum(t.numel() for t in MaPLe(Config()).start(task).values()) == 3_555_072


def test_defaults_are_the_released_codes():
    c = Config()
    assert (c.depth, c.lr, c.batch, c.epochs, c.momentum) == (9, 3.5e-3, 4, 5, 0.9)


def test_cached_views_are_refused():
    with pytest.raises(ValueError, match="views = 2: expected 0"):
        Config(views=2)
