"""KgCoOp: its loss by the plain text tower, CoOp at weight zero, and what the weight holds."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from harness.contract.toy import Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.prompts.coop import CoOp
from harness.methods.prompts.kgcoop import Config, KgCoOp


def test_first_step_descends_the_stated_loss(backbone):
    """v₁ = v₀ − η·∂/∂v [cross-entropy + 8(1 − mean cos(t(v), t⁰))], decay apart."""
    config = Config(views=1, warmup_lr=0.3, weight_decay=0.0)
    data = Planted(backbone)
    start = KgCoOp(replace(config, steps=0)).fit(data.task()).context
    start = (start + 0.1 * torch.randn(start.shape, generator=torch.Generator())).requires_grad_()

    class Moved(KgCoOp):
        def start(self, task):
            super().start(task)
            return {"context": start.detach().clone()}

    end = Moved(replace(config, steps=1)).fit(data.task()).context
    task = data.task()
    prompts = KgCoOp(config).prompts(task, task.classes).ids
    text = F.normalize(backbone.encode_prompts_plain(prompts, start), dim=-1)
    images = F.normalize(task.support.views(1)[0], dim=-1)
    likelihood = (backbone.logit_scale * images @ text.T).log_softmax(-1)
    entropy = -likelihood[torch.arange(len(images)), task.support.labels].mean()
    apart = 8 * (1 - F.cosine_similarity(text, task.text_features, dim=-1).mean())
    (gradient,) = torch.autograd.grad(entropy + apart, start)
    torch.testing.assert_close(end, start.detach() - 0.3 * gradient, atol=1e-5, rtol=1e-3)


def test_weight_zero_is_coop_bit_for_bit(backbone):
    options = {"init": "a photo of a", "steps": 5, "views": 2, "batch": 8, "lr": 0.05}
    mine = KgCoOp(Config(weight=0.0, **options)).fit(Planted(backbone).task())
    coop = CoOp(CoOp.Config(**options)).fit(Planted(backbone).task())
    assert torch.equal(mine.context, coop.context)


def test_a_larger_weight_keeps_the_text_nearer_the_frozen_one(backbone):
    """The law, after training with its own optimiser."""
    cosines = []
    for weight in (0.0, 8.0, 80.0):
        task = Planted(backbone).task()
        config = Config(weight=weight, steps=40, views=1, lr=0.05, warmup_lr=0.05)
        text = KgCoOp(config).fit(task).text
        cosines.append(float((text * task.text_features).sum(-1).mean()))
    assert cosines[0] < cosines[1] < cosines[2]


def test_zero_steps_are_the_frozen_model(backbone):
    task, images = Planted(backbone).task(), probe(backbone)
    logits = KgCoOp(Config(steps=0)).fit(task).logits(images)
    torch.testing.assert_close(logits, ZeroShot().fit(task).logits(images), atol=1e-4, rtol=0)


def test_trained_numbers(backbone):
    """Four vectors of the text width: 2,048 on ViT-B/16."""
    assert KgCoOp(Config(steps=0)).fit(Planted(backbone).task()).trainable == 4 * 64
