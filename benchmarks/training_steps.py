"""Steps of training, on the harness's backbone and in a plain implementation written here.

LoRA: rank-2 updates of q, k and v in every block of both towers (CLIP-LoRA). The plain side encodes
77 tokens for every class, computes q, k, v and out by modules of their own, and shares nothing.
CoOp: 16 learnt tokens before every class name, images frozen. Random weights: cost does not depend
on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.backbones import Backbone
from harness.backbones.backbone import Precision

RANK, SCALE, CONTEXT = 2, 1 / math.sqrt(2), 16
Step = Callable[[], float]
"""One optimiser step on one batch; returns the loss."""


class Branch(nn.Module):
    """s·B·A, with B at a small random value so that the first steps already matter."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(RANK, width, generator=generator) / math.sqrt(width))
        self.b = nn.Parameter(1e-3 * torch.randn(width, RANK, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return SCALE * F.linear(F.linear(x, self.a), self.b)


class PlainLinear(nn.Module):
    """A frozen linear with its own low-rank update."""

    def __init__(self, weight: Tensor, bias: Tensor, branch: nn.Module | None) -> None:
        super().__init__()
        self.weight, self.bias, self.branch = weight, bias, branch

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return y if self.branch is None else y + self.branch(x)


class PlainAttention(nn.Module):
    """q, k, v and out as modules of their own in place of `nn.MultiheadAttention`."""

    def __init__(self, fused: nn.MultiheadAttention, branches: list[nn.Module]) -> None:
        super().__init__()
        self.heads = fused.num_heads
        parts = zip(fused.in_proj_weight.chunk(3), fused.in_proj_bias.chunk(3), strict=True)
        self.qkv = nn.ModuleList(
            PlainLinear(w.detach(), b.detach(), branch)
            for (w, b), branch in zip(parts, branches, strict=True)
        )
        self.out = PlainLinear(fused.out_proj.weight, fused.out_proj.bias, None)

    def forward(
        self, x: Tensor, key: Tensor, value: Tensor, need_weights: bool, attn_mask: Tensor | None
    ) -> tuple[Tensor]:
        q, k, v = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return (self.out(y.transpose(1, 2).flatten(2)),)


def new_model(name: str) -> Any:
    torch.manual_seed(0)
    return open_clip.create_model(name, pretrained=None).eval().requires_grad_(False)


def our_backbone(name: str, precision: Precision = "fp32", device: str = "cpu") -> Backbone:
    tokenizer = open_clip.get_tokenizer(name)
    return Backbone(new_model(name), tokenizer, name=name, precision=precision, device=device)


def prompts(count: int) -> list[str]:
    return [f"a photo of a {name}." for name in open_clip.IMAGENET_CLASSNAMES[:count]]


def branch_list(widths: Iterator[int], device: torch.device | str) -> list[Branch]:
    generator = torch.Generator().manual_seed(1)
    return [Branch(width, generator).to(device) for width in widths]


def parameters_of(branches: list[Branch]) -> list[nn.Parameter]:
    return [p for branch in branches for p in branch.parameters()]


def train(
    parameters: list[nn.Parameter],
    features: Callable[[Tensor], tuple[Tensor, Tensor]],
    batch: int,
    classes: int,
    side: int,
    device: torch.device | str,
) -> Step:
    """Steps on (image, text) features of one batch of noise, by AdamW and cross-entropy."""
    optimiser = torch.optim.AdamW(parameters, lr=2e-4, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(batch, 3, side, side, generator=generator).to(device)
    labels = torch.randint(classes, (batch,), generator=generator).to(device)

    def step() -> float:
        image, text = features(images)
        logits = 100.0 * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def our_lora(backbone: Backbone, texts: list[str], batch: int) -> Step:
    sites = {name: s for name, s in backbone.sites.items() if name.endswith((".q", ".k", ".v"))}
    branches = branch_list((site.in_features for site in sites.values()), backbone.device)
    injected = dict(zip(sites, branches, strict=True))

    def features(images: Tensor) -> tuple[Tensor, Tensor]:
        with backbone.inject(injected):
            return backbone.encode_image(images), backbone.encode_text(texts)

    side, device = backbone.image_size, backbone.device
    return train(parameters_of(branches), features, batch, len(texts), side, device)


def plain_lora(name: str, texts: list[str], batch: int, device: str = "cpu") -> Step:
    model = new_model(name).to(device)
    blocks = [*model.visual.transformer.resblocks, *model.transformer.resblocks]
    branches = branch_list((block.attn.embed_dim for block in blocks for _ in range(3)), device)
    for depth, block in enumerate(blocks):
        block.attn = PlainAttention(block.attn, list(branches[3 * depth : 3 * depth + 3]))
    tokens = open_clip.get_tokenizer(name)(texts).to(device)

    def features(images: Tensor) -> tuple[Tensor, Tensor]:
        return model.encode_image(images), model.encode_text(tokens)

    side = int(model.visual.image_size[0])
    return train(parameters_of(branches), features, batch, len(texts), side, device)


def coop(backbone: Backbone, names: list[str], batch: int, plain: bool) -> Step:
    """`plain`: all 77 tokens of every prompt, by the model's own forward pass."""
    rows = [-1 - j for j in range(CONTEXT)]
    ids = [[backbone.sot, *rows, *backbone.tokenize(f"{n}."), backbone.eot] for n in names]
    generator = torch.Generator().manual_seed(1)
    start = 0.02 * torch.randn(CONTEXT, backbone.context_dim, generator=generator)
    context = nn.Parameter(start.to(backbone.device))
    encode = backbone.encode_prompts_plain if plain else backbone.encode_prompts

    def features(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            image = backbone.encode_image(images)
        return image, encode(ids, context)

    return train([context], features, batch, len(names), backbone.image_size, backbone.device)
