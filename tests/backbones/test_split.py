"""Splitting attention and shortening the last block change no feature, on every kind of tower."""

import copy
from typing import Any

import open_clip
import pytest
import torch
from small_clip import perturbed
from torch import nn

from harness.backbones.attention import SplitAttention
from harness.backbones.sites import open_towers, split_blocks
from harness.backbones.vision import shorten_last_block

TOLERANCE = 2e-6


def real(name: str) -> Any:
    """An open_clip model of real architecture, random weights, cut to a few blocks for speed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = open_clip.get_model_config(name)
        config["text_cfg"] |= {"layers": 2}
        if "timm_model_name" not in config["vision_cfg"] and not name.startswith("RN"):
            config["vision_cfg"]["layers"] = 3
        custom = config.pop("custom_text", False)
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        model = kind(**config)
    if "timm_model_name" in config["vision_cfg"]:
        model.visual.trunk.blocks = model.visual.trunk.blocks[:3]
    return perturbed(model)


CASES = {"ViT-B-32": 3, "ViT-B-16-SigLIP": 3, "EVA02-B-16": 3, "RN50": 0}


@pytest.mark.parametrize("name", CASES)
def test_features_of_real_architectures_are_unchanged(name: str) -> None:
    model = real(name)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    length = model.context_length
    tokens = torch.randint(0, 30000, (2, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.encode_image(images), model.encode_text(tokens)
        vision, text = open_towers(model)
        shortened = shorten_last_block(model.visual)
        found = model.encode_image(images), model.encode_text(tokens)
    assert len(vision.blocks) == CASES[name]
    assert len(text.blocks) == 2
    assert shortened == (name == "ViT-B-32")
    for before, after in zip(expected, found, strict=True):
        scale = before.abs().max()
        assert (before - after).abs().max() <= TOLERANCE * max(scale, 1.0)
    assert not any(isinstance(module, nn.MultiheadAttention) for module in model.modules())


def test_split_attention_equals_multihead_attention_with_a_mask() -> None:
    torch.manual_seed(0)
    fused = nn.MultiheadAttention(24, 3, batch_first=True)
    nn.init.normal_(fused.in_proj_bias)
    split = SplitAttention(fused)
    x = torch.randn(2, 7, 24)
    mask = torch.full((7, 7), float("-inf")).triu(1)
    expected = fused(x, x, x, need_weights=False, attn_mask=mask)[0]
    assert (split(x, x, x, attn_mask=mask)[0] - expected).abs().max() <= TOLERANCE


def test_split_attention_takes_a_mask_for_each_head_and_image() -> None:
    torch.manual_seed(0)
    fused = nn.MultiheadAttention(24, 3, batch_first=True)
    x, mask = torch.randn(2, 7, 24), torch.randn(2 * 3, 7, 7)
    expected = fused(x, x, x, need_weights=False, attn_mask=mask)[0]
    assert (SplitAttention(fused)(x, x, x, attn_mask=mask)[0] - expected).abs().max() <= TOLERANCE


def test_the_parts_are_the_rows_of_the_fused_weight() -> None:
    fused = nn.MultiheadAttention(8, 2, batch_first=True)
    split = SplitAttention(fused)
    stacked = torch.cat([split.q.weight, split.k.weight, split.v.weight])
    assert torch.equal(stacked, fused.in_proj_weight)
    assert torch.equal(split.out.weight, fused.out_proj.weight)


def test_pooling_attention_and_resnets_are_left_alone() -> None:
    pool = copy.deepcopy(open_clip.transformer.AttentionalPooler(8, 8, 2, 4))
    assert split_blocks(pool) == []
    assert isinstance(pool.attn, nn.MultiheadAttention)
