"""One LoRA step on the harness's backbone against a plain implementation written here.

ViT-B/32 shapes, batch 32, 100 classes, rank-2 updates of q, k and v in every block of both towers
(CLIP-LoRA), float32. The plain side encodes 77 tokens for every class, computes q, k, v and out by
modules of their own, and shares nothing. Target: at least 3 times faster.

Losses must agree to 1e-4 over 20 steps; these are trained on a smaller task (8 images, 10 classes)
to keep the benchmark short, and so are the timed steps of the full one.

Two more rows: the same step under `precision: bf16`, and what replicas of LoRA (other seeds, other
rates) could save by sharing one pass over a joint batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import open_clip
import pytest
import torch
from side_by_side import side_by_side
from torch import Tensor, nn
from torch.nn import functional as F

from harness.backbones import Backbone, load_backbone
from harness.backbones.backbone import Precision
from harness.backbones.spec import BackboneSpec

CLASSES, BATCH, ROUNDS = 100, 32, 3
STEPS, RANK, SCALE = 20, 2, 1 / math.sqrt(2)


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


def new_model() -> Any:
    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-32", pretrained=None).eval().requires_grad_(False)


def branch_list(widths: Iterator[int]) -> list[Branch]:
    generator = torch.Generator().manual_seed(1)
    return [Branch(width, generator) for width in widths]


def train(
    branches: list[Branch],
    features: Callable[[Tensor], tuple[Tensor, Tensor]],
    batch: int,
    classes: int,
    side: int = 224,
) -> Callable[[], float]:
    """A function that does one optimiser step on one batch and returns the loss."""
    parameters = [p for branch in branches for p in branch.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-4, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(batch, 3, side, side, generator=generator)
    labels = torch.randint(classes, (batch,), generator=generator)

    def step() -> float:
        image, text = features(images)
        logits = 100.0 * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def our_backbone(precision: Precision = "fp32") -> Backbone:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    return Backbone(new_model(), tokenizer, name="ViT-B-32", precision=precision)


def our_step(backbone: Backbone, texts: list[str], batch: int) -> Callable[[], float]:
    sites = {name: s for name, s in backbone.sites.items() if not name.endswith(".out")}
    branches = branch_list(site.in_features for site in sites.values())
    injected = dict(zip(sites, branches, strict=True))

    def features(images: Tensor) -> tuple[Tensor, Tensor]:
        with backbone.inject(injected):
            return backbone.encode_image(images), backbone.encode_text(texts)

    return train(branches, features, batch, len(texts), backbone.image_size)


def plain_step(texts: list[str], batch: int) -> Callable[[], float]:
    model = new_model()
    blocks = [*model.visual.transformer.resblocks, *model.transformer.resblocks]
    widths = (block.attn.embed_dim for block in blocks for _ in range(3))
    branches = branch_list(widths)
    for depth, block in enumerate(blocks):
        block.attn = PlainAttention(block.attn, list(branches[3 * depth : 3 * depth + 3]))
    tokens = open_clip.get_tokenizer("ViT-B-32")(texts)

    def features(images: Tensor) -> tuple[Tensor, Tensor]:
        return model.encode_image(images), model.encode_text(tokens)

    return train(branches, features, batch, len(texts))


def prompts(count: int) -> list[str]:
    return [f"a photo of a {name}." for name in open_clip.IMAGENET_CLASSNAMES[:count]]


def test_lora_step(benchmark: Any, capsys: Any) -> None:
    texts, backbone = prompts(CLASSES), our_backbone()
    ours, plain = our_step(backbone, texts[:10], batch=8), plain_step(texts[:10], batch=8)
    losses = [(ours(), plain()) for _ in range(STEPS)]
    worst = max(abs(one - other) for one, other in losses)

    ours, plain = our_step(backbone, texts, BATCH), plain_step(texts, BATCH)
    losses_full = [(ours(), plain())]
    with capsys.disabled():
        print(f"\n{STEPS} steps: loss {losses[0][0]:.3f} to {losses[-1][0]:.3f}, ", end="")
        print(f"largest difference {worst:.1e}", end="")
        side_by_side(
            benchmark, f"LoRA step, {torch.get_num_threads()} threads", ours, plain, ROUNDS
        )
    losses_full.append((ours(), plain()))
    worst = max(worst, *(abs(one - other) for one, other in losses_full))
    assert worst <= 1e-4


def test_bf16(benchmark: Any, capsys: Any) -> None:
    """Other numbers, hence an option that goes into a cell's id; never a shortcut."""
    single = our_step(our_backbone("fp32"), prompts(CLASSES), BATCH)
    half = our_step(our_backbone("bf16"), prompts(CLASSES), BATCH)
    difference = abs(single() - half())
    with capsys.disabled():
        name = f"LoRA step, bf16 for fp32 (first loss {difference:.3f} apart)"
        side_by_side(benchmark, name, half, single, ROUNDS)


REPLICAS = 3


@pytest.mark.parametrize(
    ("model", "batch", "classes"), [("glyphs", 16, 26), ("ViT-B-32", BATCH, CLASSES)]
)
def test_joint_batch(benchmark: Any, capsys: Any, model: str, batch: int, classes: int) -> None:
    """One pass over the images and prompts of three replicas, for a pass each.

    The most that a joint batch could save: here all share one set of branches, in truth each
    replica's would be applied to its own rows. Not built; see docs/performance.md.
    """
    spec = BackboneSpec(model="glyphs")
    backbone = load_backbone(spec, "cpu", "fp32") if model == "glyphs" else our_backbone()
    one = our_step(backbone, prompts(classes), batch)
    joint = our_step(backbone, prompts(REPLICAS * classes), REPLICAS * batch)

    def apart() -> None:
        for _ in range(REPLICAS):
            one()

    joint(), apart()
    with capsys.disabled():
        name = f"{REPLICAS} LoRA replicas on {model} in one joint batch"
        side_by_side(benchmark, name, joint, apart, rounds=20 if model == "glyphs" else ROUNDS)
