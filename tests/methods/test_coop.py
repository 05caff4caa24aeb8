from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from harness.contract.toy import OTHER, Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.prompts.coop import Config, CoOp
from harness.task import Classes, NotApplicable


def ids(backbone, name, **options):
    task = Planted(backbone).task()
    return CoOp(Config(**options)).prompts(task, Classes((name, "x"))).ids


@pytest.mark.parametrize(
    ("position", "layout"),
    [
        ("end", [-1, -2, -3, "name", "."]),
        ("front", ["name", -1, -2, -3, "."]),
        ("middle", [-1, "name", -2, -3, "."]),
    ],
)
def test_prompt_layout(backbone, position, layout):
    words = {"name": backbone.tokenize("black chess knight"), ".": backbone.tokenize(".")}
    expected = [backbone.sot]
    for part in layout:
        expected += words[part] if isinstance(part, str) else [part]
    found = ids(backbone, "black_chess_knight", context_tokens=3, class_token_position=position)
    assert found[0] == [*expected, backbone.eot]


def test_class_specific_context_has_rows_per_class(backbone):
    first, second = ids(backbone, "circle", context_tokens=2, class_specific=True)
    assert first[1:3] == [-1, -2] and second[1:3] == [-3, -4]
    config = Config(context_tokens=2, class_specific=True, steps=0)
    classifier = CoOp(config).fit(Planted(backbone).task())
    assert classifier.trainable == 6 * 2 * backbone.context_dim
    assert classifier.rebind(OTHER) is None


def test_a_context_that_does_not_fit_is_not_applicable(backbone):
    with pytest.raises(NotApplicable, match=r"'red circle' has \d+ tokens .* lower context_tokens"):
        CoOp(Config(context_tokens=backbone.context_length)).fit(Planted(backbone).task())


def test_random_start(backbone):
    classifier = CoOp(Config(steps=0, context_tokens=30)).fit(Planted(backbone).task())
    context = classifier.state()["context"]
    assert context.shape == (30, backbone.context_dim)
    assert context.std().item() == pytest.approx(0.02, rel=0.1)
    assert abs(context.mean().item()) < 0.002


@pytest.mark.parametrize("class_specific", [False, True])
def test_start_from_the_templates_words_is_zero_shot(backbone, class_specific):
    task, images = Planted(backbone).task(), probe(backbone)
    config = Config(init="a photo of a", steps=0, class_specific=class_specific)
    logits = CoOp(config).fit(task).logits(images)
    torch.testing.assert_close(logits, ZeroShot().fit(task).logits(images), atol=1e-4, rtol=0)


def test_first_step_is_sgd_at_the_warm_up_rate(backbone):
    """v₁ = v₀ − 1e-5·(∂L/∂v + 5e-4·v₀), the gradient through the full 40-token text tower."""
    config = Config(context_tokens=4, views=1, warmup_lr=0.3)
    data = Planted(backbone)
    start = CoOp(replace(config, steps=0)).fit(data.task()).state()["context"].requires_grad_()
    end = CoOp(replace(config, steps=1)).fit(data.task()).state()["context"]
    task = data.task()
    prompts = CoOp(config).prompts(task, task.classes).ids
    text = F.normalize(backbone.encode_prompts_plain(prompts, start), dim=-1)
    images = F.normalize(task.support.views(1)[0], dim=-1)
    scores = backbone.logit_scale * images @ text.T
    loss = -scores.log_softmax(-1)[torch.arange(len(scores)), task.support.labels].mean()
    (gradient,) = torch.autograd.grad(loss, start)
    expected = start.detach() - 0.3 * (gradient + 5e-4 * start.detach())
    torch.testing.assert_close(end, expected, atol=1e-5, rtol=1e-3)


def test_transfer_keeps_the_context(backbone):
    config = Config(context_tokens=4, views=1, steps=3, lr=0.1)
    classifier = CoOp(config).fit(Planted(backbone).task())
    images = probe(backbone)
    prompts = CoOp(config).prompts(Planted(backbone).task(), OTHER).ids
    with torch.no_grad():
        text = backbone.encode_prompts_plain(prompts, classifier.context)
    cosines = F.cosine_similarity(images.features[:, None], text[None], dim=-1)
    torch.testing.assert_close(
        classifier.rebind(OTHER).logits(images), backbone.logit_scale * cosines, atol=1e-4, rtol=0
    )


def test_cached_and_fresh_views_agree_where_augmentation_changes_nothing(backbone):
    """The shortcut through cached features is exact."""

    def still(self, indices, generator):
        return self.plain(indices)

    from harness.contract.toy import MemorySupport

    support = type("Still", (MemorySupport,), {"batch": still})
    base = Config(context_tokens=4, steps=3, lr=0.1, batch=64)
    contexts = [
        CoOp(replace(base, views=views)).fit(Planted(backbone).task(support=support)).context
        for views in (0, 1)
    ]
    torch.testing.assert_close(*contexts, atol=1e-5, rtol=1e-4)


def test_defaults_are_the_papers():
    c = Config()
    assert (c.context_tokens, c.class_token_position, c.class_specific) == (16, "end", False)
    assert (c.lr, c.momentum, c.weight_decay, c.warmup_lr, c.batch) == (2e-3, 0.9, 5e-4, 1e-5, 32)
