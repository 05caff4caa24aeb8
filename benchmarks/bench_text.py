"""The packed text path against the plain 77-token path: CoOp's forward and backward pass.

ViT-B/32's text tower (12 layers, width 512), 16 learnt context tokens, ImageNet's class names.
Target: at least 9 times faster at 100 classes, 11 times at 400.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from side_by_side import side_by_side
from torch import Tensor

from harness.backbones import Backbone

CONTEXT = 16


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """The real text tower beside a token image tower."""
    torch.manual_seed(0)
    text = open_clip.get_model_config("ViT-B-32")["text_cfg"]
    vision = {"image_size": 32, "patch_size": 32, "width": 64, "layers": 1}
    return Backbone(CLIP(512, vision, text), open_clip.get_tokenizer("ViT-B-32"), name="B/32 text")


@pytest.mark.parametrize("classes", [100, 400])
def test_coop_forward_and_backward(
    benchmark: Any, backbone: Backbone, classes: int, capsys: Any
) -> None:
    rows = [-1 - j for j in range(CONTEXT)]
    prompts = [
        [backbone.sot, *rows, *backbone.tokenize(f"{name}."), backbone.eot]
        for name in open_clip.IMAGENET_CLASSNAMES[:classes]
    ]
    context = torch.nn.Parameter(0.02 * torch.randn(CONTEXT, backbone.context_dim))
    cotangent = torch.randn(classes, backbone.feature_dim)

    def step(encode: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        features = encode(prompts, context)
        return features.detach(), torch.autograd.grad(features, context, cotangent)[0]

    for ours, plain in zip(
        step(backbone.encode_prompts), step(backbone.encode_prompts_plain), strict=True
    ):
        assert (ours - plain).abs().max() <= 1e-5 * max(1.0, float(plain.abs().max()))
    with capsys.disabled():
        side_by_side(
            benchmark,
            f"text path, {classes} classes, {torch.get_num_threads()} threads",
            lambda: step(backbone.encode_prompts),
            lambda: step(backbone.encode_prompts_plain),
            rounds=3 if classes <= 100 else 1,
        )
