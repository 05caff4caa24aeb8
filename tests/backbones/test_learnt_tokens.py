"""Learnt vectors at block inputs, against MaPLe's forward passes written out on a plain model."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from small_clip import TEXT, VISION, perturbed, random_branches
from torch import Tensor

from harness.backbones import Backbone
from harness.backbones.packing import GROUP_WORK
from harness.task import NotApplicable

NAMES = ["cat", "sea urchin", "b", "boeing 747-400", "annual crop land"]
J = 3


def learnt(blocks: tuple[int, ...], rows: int, width: int) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        b: (0.3 * torch.randn(rows, width, generator=generator)).requires_grad_() for b in blocks
    }


def texts_by_hand(
    model: Any, ids: Tensor, context: Tensor, deep: Mapping[int, Tensor], start: int = 1
) -> Tensor:
    """(n, L) ids whose positions start … start + J − 1 are the context's, as in MaPLe's release."""

    def with_rows(x: Tensor, rows: Tensor) -> Tensor:
        rows = rows.expand(len(x), -1, -1)
        return torch.cat([x[:, :start], rows, x[:, start + rows.shape[1] :]], dim=1)

    x = with_rows(model.token_embedding(ids), context) + model.positional_embedding
    for depth, block in enumerate(model.transformer.resblocks):
        x = block(with_rows(x, deep[depth]) if depth in deep else x, attn_mask=model.attn_mask)
    x = model.ln_final(x)
    return x[torch.arange(len(x)), ids.argmax(dim=1)] @ model.text_projection


def images_by_hand(visual: Any, images: Tensor, tokens: Mapping[int, Tensor]) -> Tensor:
    """Appended in front of ln_pre, without positions, then replaced, as in MaPLe's release."""

    def ending(x: Tensor, rows: Tensor) -> Tensor:
        return torch.cat([x, rows.expand(len(x), -1, -1)], dim=1)

    x = visual.conv1(images).flatten(2).mT
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1)
    x, own = x + visual.positional_embedding, x.shape[1]
    x = visual.ln_pre(ending(x, tokens[0]) if 0 in tokens else x)
    for depth, block in enumerate(visual.transformer.resblocks):
        x = block(ending(x[:, :own], tokens[depth]) if depth and depth in tokens else x)
    x = visual.ln_post(x)
    return (x[:, 1:own].mean(1) if visual.pool_type == "avg" else x[:, 0]) @ visual.proj


def agree(found: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    """Equal values, and equal gradients of a random functional of them."""
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    cotangent = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    pairs = zip(
        torch.autograd.grad(found, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent, retain_graph=True),
        strict=True,
    )
    for mine, by_hand in pairs:
        assert by_hand.abs().sum() > 0
        torch.testing.assert_close(mine, by_hand, atol=1e-5 * float(by_hand.abs().max()), rtol=1e-4)


def prompts(backbone: Backbone, before: str = "") -> list[list[int]]:
    entries = [-1 - j for j in range(J)]
    ids = [[*backbone.tokenize(before), *entries, *backbone.tokenize(name)] for name in NAMES]
    return [[backbone.sot, *row, backbone.eot] for row in ids]


def padded(rows: list[list[int]]) -> Tensor:
    return torch.tensor([[max(i, 0) for i in row] + [0] * (40 - len(row)) for row in rows])


@pytest.mark.parametrize("work", [0.0, 1e9], ids=["no padding", "one group"])
@pytest.mark.parametrize("blocks", [(), (1,), (1, 2), (0, 2)])
def test_deep_prompts_equal_maple_by_hand(
    original: Any,
    backbone: Backbone,
    monkeypatch: pytest.MonkeyPatch,
    blocks: tuple[int, ...],
    work: float,
) -> None:
    monkeypatch.setitem(GROUP_WORK, "cpu", work)
    context, deep = learnt((0,), J, 32)[0], learnt(blocks, J, 32)
    rows = prompts(backbone)
    # Replaced at the very first block, the context itself is never seen.
    inputs = [*deep.values()] if 0 in deep else [context, *deep.values()]
    expected = texts_by_hand(original, padded(rows), context, deep)
    agree(backbone.encode_prompts(rows, context, deep), expected, inputs)
    agree(backbone.encode_prompts_plain(rows, context, deep), expected, inputs)


def test_deep_prompts_stand_where_the_context_stands(original: Any, backbone: Backbone) -> None:
    context, deep = learnt((0,), J, 32)[0], learnt((1, 2), J, 32)
    rows = prompts(backbone, before="a photo")
    expected = texts_by_hand(original, padded(rows), context, deep, start=3)
    agree(backbone.encode_prompts(rows, context, deep), expected, [context, *deep.values()])


def test_deep_prompts_of_each_class_its_own(original: Any, backbone: Backbone) -> None:
    """TCP's: rows of class c only in its prompt, so nothing is shared behind the start."""
    generator = torch.Generator().manual_seed(0)
    context, per_class = (torch.randn(2 * J, 32, generator=generator) for _ in range(2))
    rows = [
        [backbone.sot, *range(-1 - J * c, -1 - J * (c + 1), -1), *backbone.tokenize(name),
         backbone.eot]
        for c, name in enumerate(NAMES[:2])
    ]  # fmt: skip
    with torch.no_grad():
        found = backbone.encode_prompts(rows, context, {2: per_class})
        for c, row in enumerate(rows):
            own = slice(J * c, J * (c + 1))
            alone = texts_by_hand(original, padded([row]), context[own], {2: per_class[own]})
            torch.testing.assert_close(found[c : c + 1], alone, atol=1e-5, rtol=1e-4)


def test_deep_prompts_pass_through_injected_branches(backbone: Backbone) -> None:
    context, deep = learnt((0,), J, 32)[0], learnt((1, 2), J, 32)
    rows = prompts(backbone)
    with backbone.inject(random_branches(backbone)):
        packed = backbone.encode_prompts(rows, context, deep)
        plain = backbone.encode_prompts_plain(rows, context, deep)
        agree(packed, plain, [context, *deep.values()])


@pytest.mark.parametrize("blocks", [(0,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("pool", ["tok", "avg"])
def test_image_tokens_equal_maple_by_hand(blocks: tuple[int, ...], pool: str) -> None:
    torch.manual_seed(0)
    model = perturbed(CLIP(24, {**VISION, "pool_type": pool}, dict(TEXT)))
    backbone = Backbone(copy.deepcopy(model), SimpleTokenizer(context_length=40), name="small")
    images, tokens = torch.randn(4, 3, 32, 32), learnt(blocks, 2, 48)
    expected = images_by_hand(model.visual, images, tokens)
    agree(backbone.encode_image(images, tokens), expected, list(tokens.values()))


def test_image_tokens_may_begin_at_a_later_block(original: Any, backbone: Backbone) -> None:
    images, tokens = torch.randn(4, 3, 32, 32), learnt((1, 2), 2, 48)
    expected = images_by_hand(original.visual, images, tokens)
    agree(backbone.encode_image(images, tokens), expected, list(tokens.values()))


def test_the_order_of_image_tokens_is_immaterial_and_none_is_the_frozen_model(
    backbone: Backbone,
) -> None:
    images, tokens = torch.randn(2, 3, 32, 32), learnt((0, 1), 4, 48)
    with torch.no_grad():
        turned = {block: rows.flip(0) for block, rows in tokens.items()}
        found, other = backbone.encode_image(images, tokens), backbone.encode_image(images, turned)
        torch.testing.assert_close(found, other, atol=1e-5, rtol=1e-4)
        frozen = backbone.encode_image(images)
        empty = {0: torch.zeros(0, 48)}
        assert torch.equal(backbone.encode_image(images, empty), frozen)
        assert not torch.allclose(found, frozen)


def timm_clip(pool: str) -> Any:
    torch.manual_seed(0)
    vision = {
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_pool": pool,
        "timm_proj": "linear",
        "image_size": 224,
    }
    model = CustomTextCLIP(24, vision, dict(TEXT))
    model.visual.trunk.blocks = model.visual.trunk.blocks[:3]
    return perturbed(model)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_image_tokens_in_a_timm_tower(pool: str) -> None:
    model = timm_clip(pool)
    trunk, images, tokens = model.visual.trunk, torch.randn(2, 3, 224, 224), learnt((0, 2), 2, 192)
    assert isinstance(trunk, timm.models.VisionTransformer)
    x = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(images)))
    own = x.shape[1]
    for depth, block in enumerate(trunk.blocks):
        if depth in tokens:
            x = torch.cat([x[:, :own], tokens[depth].expand(2, -1, -1)], dim=1)
        x = block(x)
    expected = model.visual.head(trunk.forward_head(trunk.norm(x[:, :own])))
    backbone = Backbone(model, SimpleTokenizer(context_length=40), name="timm")
    assert (backbone.image_blocks, backbone.text_blocks, backbone.token_dim) == (3, 3, 192)
    agree(backbone.encode_image(images, tokens), expected, list(tokens.values()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, i: b.encode_image(i, {3: torch.zeros(2, 48)}), "block 3: the blocks are 0 to 2"),
        (lambda b, i: b.encode_image(i, {0: torch.zeros(2, 32)}), r"\(2, 32\): give \(n, 48\)"),
        (lambda b, i: b.encode_prompts([[b.sot, b.eot]], None, {1: torch.zeros(1, 32)}), "context"),
        (
            lambda b, i: b.encode_prompts(
                [[b.sot, -1, b.eot]], torch.zeros(1, 32), {1: torch.zeros(2, 32)}
            ),
            r"block 1 of shape \(2, 32\): give \(1, 32\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    backbone: Backbone, call: Callable[[Backbone, Tensor], Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(backbone, torch.zeros(1, 3, 32, 32))


def test_a_resnet_takes_no_tokens_and_says_so() -> None:
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": (1, 1, 1, 1), "width": 8, "head_width": 8}
    model = CLIP(24, vision, dict(TEXT)).eval()
    backbone = Backbone(model, SimpleTokenizer(context_length=40), name="a ResNet")
    assert (backbone.image_blocks, backbone.token_dim) == (0, 0)
    with pytest.raises(NotApplicable, match="a ResNet: its image encoder takes no learnt tokens"):
        backbone.encode_image(torch.zeros(1, 3, 32, 32), {0: torch.zeros(1, 8)})
    assert {n.split(".")[0] for n in backbone.parameters} == {"vision", "text"}
