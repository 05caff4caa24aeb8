"""Comp-LoRA against a plain derivation: full SVD in NumPy, ΔW written out and added to the weight.

No code was published to follow; the derivation is that of the paper's abstract and of its
projector form (OPLoRA), trained as CLIP-LoRA.
"""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from plain_clip import (
    PlainAttention,
    attentions,
    cross_entropy,
    encode,
    split,
    task_of,
    text_features,
    watched,
)
from torch import Tensor, nn

from harness.backbones import Backbone
from harness.methods.low_rank.comp_lora import CompLoRA, Config

SHOTS = 6  # 36 images: batches of 32 and 4
S = 1 / math.sqrt(2)  # α/√r


class Complement(nn.Module):
    """x ↦ (W + ΔW) x + b, ΔW = s·L B A Rᵀ with fixed L and R made of W's singular vectors.

    Reduced: L and R hold all but the leading half of the singular vectors. Projector: they are
    the projections that remove the leading half.
    """

    def __init__(self, weight: Tensor, bias: Tensor, down: Tensor, form: str) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        u, _, vt = np.linalg.svd(weight.double().numpy())
        u, v = torch.from_numpy(u), torch.from_numpy(vt.T.copy())
        k = len(weight) // 2
        self.protected = u[:, :k], v[:, :k]
        if form == "reduced":
            self.left, self.right = u[:, k:].float(), v[:, k:].float()
        else:
            self.left = torch.eye(len(u)) - (u[:, :k] @ u[:, :k].T).float()
            self.right = torch.eye(len(v)) - (v[:, :k] @ v[:, :k].T).float()
        self.a = nn.Parameter(down @ self.right)  # the method's own A, in this derivation's basis
        self.b = nn.Parameter(torch.zeros(self.left.shape[1], len(down)))

    def update(self) -> Tensor:
        return S * self.left @ self.b @ self.a @ self.right.T

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight + self.update()).T + self.bias


@pytest.mark.parametrize("form", ["reduced", "projector"])
def test_training_step_for_step(backbone: Backbone, model: Any, form: Any) -> None:
    task = task_of(backbone, model, SHOTS)
    start = CompLoRA(Config(steps=0, form=form)).fit(task_of(backbone, model, SHOTS)).state()
    with watched() as found:
        classifier = CompLoRA(Config(steps=8, form=form, dropout=0.0)).fit(task)
    plain, branches = copy.deepcopy(model), {}
    for place, block in attentions(plain):
        parts: dict[str, nn.Module] = {}
        for part, (weight, bias) in split(block.attn).items():
            branch = Complement(weight, bias, start[f"{place}.{part}.down"], form)
            parts[part] = branches[f"{place}.{part}"] = branch
        block.attn = PlainAttention(block.attn, parts)
    trained = [p for branch in branches.values() for p in branch.parameters()]
    assert found.trained == sum(p.numel() for p in trained)
    optimizer = torch.optim.AdamW(trained, lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-2)
    losses = []
    for step, (images, labels) in enumerate(task.support.seen):  # type: ignore[attr-defined]
        cosine = 0.5 * (1 + math.cos(math.pi * step / 8))
        optimizer.param_groups[0]["lr"] = 1e-6 + (2e-4 - 1e-6) * cosine
        loss = cross_entropy(plain.encode_image(images), text_features(plain), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.losses == pytest.approx(losses, rel=1e-5)
    state = classifier.state()
    for site, branch in branches.items():
        expected = branch.update().detach()
        delta = state[f"{site}.up"] @ state[f"{site}.down"]
        assert float((delta - expected).norm()) < 1e-4 * float(expected.norm()), site
        for share in (branch.protected[0].T @ delta.double(), delta.double() @ branch.protected[1]):
            assert float(share.norm()) < 1e-5 * float(delta.norm()), site


def test_first_loss_is_the_frozen_models(backbone: Backbone, model: Any) -> None:
    """B = 0 in both forms, whatever dropout does."""
    for form in ("reduced", "projector"):
        task = task_of(backbone, model, SHOTS)
        with watched() as found:
            CompLoRA(Config(steps=1, form=form)).fit(task)  # type: ignore[arg-type]
        ((images, labels),) = task.support.seen  # type: ignore[attr-defined]
        frozen = cross_entropy(encode(model, images), task.text_features, labels)
        assert found.losses == [pytest.approx(float(frozen), rel=1e-5)]


@pytest.mark.parametrize("sides", ["both", "input", "output"])
def test_both_forms_move_alike_under_plain_gradient_descent(sides: Any) -> None:
    """Matched at the start (A R, Lᵀ B), the two forms have the same ΔW after every step.

    A gradient step commutes with the change to an orthonormal basis; Adam's element-wise scaling
    does not, so there the forms part after the first steps and share their function class alone.
    """
    generator = torch.Generator().manual_seed(0)
    weight = nn.Linear(10, 12, bias=False)
    weight.weight = nn.Parameter(torch.randn(12, 10, generator=generator), requires_grad=False)
    x, y = torch.randn(40, 10, generator=generator), torch.randn(40, 12, generator=generator)
    common = {"rank": 3, "keep": 4, "keep_as": "count", "sides": sides}
    projector = CompLoRA(Config(form="projector", **common)).update("text.0.q", weight, generator)
    reduced = CompLoRA(Config(form="reduced", **common)).update("text.0.q", weight, generator)
    for update in (projector, reduced):
        for tensor in update.tensors.values():
            tensor.requires_grad_()
    a, b = projector.tensors.values()
    b.data.normal_(generator=generator)
    u, v = getattr(reduced, "u", None), getattr(reduced, "v", None)
    a_reduced, b_reduced = reduced.tensors.values()
    a_reduced.data = a.data.clone() if v is None else a.data @ v
    b_reduced.data = b.data.clone() if u is None else u.T @ b.data
    start = projector.delta().detach()
    for _ in range(10):
        for update in (projector, reduced):
            loss = (x @ (weight.weight + update.delta()).T - y).square().mean()
            tensors = list(update.tensors.values())
            for parameter, gradient in zip(
                tensors, torch.autograd.grad(loss, tensors), strict=True
            ):
                parameter.data -= 0.1 * gradient
        torch.testing.assert_close(reduced.delta(), projector.delta(), atol=1e-5, rtol=0)
    assert (projector.delta() - start).norm() > 0.1
