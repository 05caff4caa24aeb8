"""CLIP in plain form, as released codes run it: 77 tokens for every prompt, nothing shared.

The tests here follow each method's released defaults step for step against an implementation of
their own. Nothing of `methods` and no shortcut of `harness.backbones` is used on that side: the
model is open_clip's, attention is written out, optimisers are PyTorch's, schedules are arithmetic.
What the two sides share is the task: the same images, in the order in which the method drew them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from harness.backbones import Backbone
from harness.run.support import LazyBatch
from harness.task import Classes, Support, Task

NAMES = ("cat", "sea_urchin", "boeing 747-400", "annual crop land", "b", "black chess knight")
TEMPLATE = "a photo of a {}."
SCALE = 100.0
VISION = {"image_size": 32, "patch_size": 8, "width": 48, "layers": 2, "head_width": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}

tokenizer = SimpleTokenizer(context_length=77)


def small_clip() -> Any:
    """open_clip's CLIP as OpenAI's, but small and random: QuickGELU, 77 tokens, τ = 100."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = CLIP(24, dict(VISION), dict(TEXT), quick_gelu=True)
        with torch.no_grad():
            for parameter in model.parameters():  # none stays at an initial value of zero or one
                parameter += 0.05 * torch.randn(parameter.shape)
            model.logit_scale.fill_(math.log(SCALE))
    return model.eval().requires_grad_(False)


def adapted_backbone() -> Backbone:
    """The same weights as the harness loads them."""
    return Backbone(small_clip(), tokenizer, name="small")


class KnownImages(Support):
    """Images of random classes; every augmented image that is handed out is kept in `seen`."""

    def __init__(self, model: Any, shots: int) -> None:
        generator = torch.Generator().manual_seed(5)
        self.labels = torch.arange(len(NAMES)).repeat_interleave(shots)
        self._images = torch.randn(len(self.labels), 3, 32, 32, generator=generator)
        self._model, self._noise = model, generator
        self.seen: list[tuple[Tensor, Tensor]] = []

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        images = self._images[indices]
        images = images + 0.3 * torch.randn(images.shape, generator=self._noise)
        self.seen.append((images, self.labels[indices]))
        return images

    def plain(self, indices: Tensor) -> Tensor:
        return self._images[indices]

    @property
    def features(self) -> Tensor:
        return encode(self._model, self._images)

    def view(self, number: int) -> Tensor:
        """(N, 3, H, W) augmented pass `number` over the support set."""
        noise = torch.Generator().manual_seed(100 + number)
        return self._images + 0.3 * torch.randn(self._images.shape, generator=noise)

    def views(self, count: int) -> Tensor:
        return torch.stack([encode(self._model, self.view(number)) for number in range(count)])


@torch.no_grad()
def encode(model: Any, images: Tensor) -> Tensor:
    """(n, d) image features by the model's own forward pass, unnormalised."""
    features: Tensor = model.encode_image(images)
    return features


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def text_features(model: Any) -> Tensor:
    """(C, d) unit text features of the template's prompts, each at its full 77 tokens."""
    prompts = [TEMPLATE.format(name.replace("_", " ")) for name in NAMES]
    return unit(model.encode_text(tokenizer(prompts)))


def task_of(backbone: Backbone, model: Any, shots: int, seed: int = 0) -> Task:
    with torch.no_grad():
        text = text_features(model)
    return Task(
        classes=Classes(NAMES, (TEMPLATE,)),
        shots=shots,
        support=KnownImages(model, shots),
        val=None,
        backbone=backbone,
        text_features=text,
        generator=torch.Generator().manual_seed(seed),
    )


def queries(model: Any) -> tuple[Tensor, LazyBatch]:
    """Test images, and what a classifier sees of them."""
    images = torch.randn(9, 3, 32, 32, generator=torch.Generator().manual_seed(6))
    features = encode(model, images)
    return images, LazyBatch(len(images), lambda: images, lambda: features)


@dataclass
class Steps:
    """What a fit did: the losses it differentiated, and its optimiser's settings at each step."""

    losses: list[float] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    trained: int = 0
    """How many numbers the optimiser was given."""

    @property
    def rates(self) -> list[float]:
        return [settings["lr"] for settings in self.settings]


class Enough(Exception):
    """Ends a fit after the steps that are wanted."""


@contextmanager
def watched(stop: int | None = None) -> Iterator[Steps]:
    """Watches a fit from outside; ends it when the optimiser is about to take step `stop`."""
    steps = Steps()
    backward = torch.Tensor.backward

    def recorded(loss: Tensor, *args: Any, **kwargs: Any) -> None:
        steps.losses.append(loss.item())
        backward(loss, *args, **kwargs)

    def note(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        (group,) = optimizer.param_groups
        steps.settings.append({k: v for k, v in group.items() if k != "params"})
        steps.trained = sum(parameter.numel() for parameter in group["params"])
        if len(steps.settings) == stop:
            raise Enough

    handle = register_optimizer_step_pre_hook(note)
    with pytest.MonkeyPatch.context() as patch, suppress(Enough):
        patch.setattr(torch.Tensor, "backward", recorded)
        try:
            yield steps
        finally:
            handle.remove()


class LowRank(nn.Module):
    """A linear with a low-rank branch: W x + b + s·B A x."""

    def __init__(self, weight: Tensor, bias: Tensor, a: Tensor, b: Tensor, s: float) -> None:
        super().__init__()
        self.weight, self.bias, self.s = weight, bias, s
        self.a, self.b = nn.Parameter(a.clone()), nn.Parameter(b.clone())

    def update(self) -> Tensor:
        """(out, in) ΔW."""
        return self.s * self.b @ self.a

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias + x @ self.update().T


class PlainAttention(nn.Module):
    """Multi-head attention with q, k and v as modules of their own, softmax written out."""

    def __init__(self, fused: nn.MultiheadAttention, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.heads, self.parts, self.out = fused.num_heads, nn.ModuleDict(parts), fused.out_proj

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, need_weights: bool, attn_mask: Tensor | None
    ) -> tuple[Tensor]:
        q, k, v = (
            self.parts[part](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part, x in (("q", q), ("k", k), ("v", v))
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if attn_mask is not None:
            scores = scores + attn_mask
        mixed = scores.softmax(-1) @ v
        return (self.out(mixed.transpose(1, 2).flatten(2)),)


def split(fused: nn.MultiheadAttention) -> dict[str, tuple[Tensor, Tensor]]:
    """Weight and bias of q, k and v: the first, second and third rows of the fused matrix."""
    w = fused.embed_dim
    rows = {"q": slice(0, w), "k": slice(w, 2 * w), "v": slice(2 * w, 3 * w)}
    return {p: (fused.in_proj_weight[row], fused.in_proj_bias[row]) for p, row in rows.items()}


def attentions(model: Any) -> Iterator[tuple[str, Any]]:
    """(`vision.0`, block) … (`text.1`, block)."""
    towers = {"vision": model.visual.transformer, "text": model.transformer}
    for tower, transformer in towers.items():
        for depth, block in enumerate(transformer.resblocks):
            yield f"{tower}.{depth}", block


def coop_rates(steps: int, per_epoch: int, epochs: int, lr: float) -> list[float]:
    """Dassl's schedule: the first epoch at 1e-5; then a cosine by epochs that starts at `lr`."""
    rates = []
    for step in range(steps):
        epoch = step // per_epoch
        turned = math.pi * (epoch - 1) / epochs
        rates.append(1e-5 if epoch == 0 else lr * 0.5 * (1 + math.cos(turned)))
    return rates


def cross_entropy(image: Tensor, text: Tensor, labels: Tensor) -> Tensor:
    """Of τ·cos, from features of any length."""
    return F.cross_entropy(SCALE * unit(image) @ unit(text).T, labels)
