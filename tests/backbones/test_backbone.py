"""What methods rely on: features of the original model, ensembles, contexts, clear errors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from torch.nn import functional as F

from harness.backbones import Backbone
from harness.backbones.fingerprint import fingerprint_of
from harness.task import Classes

from small_clip import small_clip  # isort: skip


def test_features_equal_the_original_models(backbone: Backbone, original: Any) -> None:
    texts = ["a photo of a cat.", "tabby", "a photo of two big dogs, a type of pet."]
    images = torch.randn(3, 3, 32, 32)
    tokens = SimpleTokenizer(context_length=40)(texts)
    torch.testing.assert_close(
        backbone.encode_image(images), original.encode_image(images), atol=5e-6, rtol=1e-5
    )
    torch.testing.assert_close(
        backbone.encode_text(texts), original.encode_text(tokens), atol=5e-6, rtol=1e-5
    )


def test_text_features_are_normalised_means_of_normalised(
    backbone: Backbone, original: Any
) -> None:
    classes = Classes(("cat", "sea_urchin"), ("a photo of a {}.", "{} texture."))
    tokenize = SimpleTokenizer(context_length=40)
    for row, name in enumerate(("cat", "sea urchin")):
        views = original.encode_text(tokenize([f"a photo of a {name}.", f"{name} texture."]))
        views = views / views.norm(dim=1, keepdim=True)
        mean = views.mean(0)
        torch.testing.assert_close(
            backbone.text_features(classes)[row], mean / mean.norm(), atol=1e-5, rtol=1e-4
        )


def test_a_class_does_not_depend_on_the_others(backbone: Backbone) -> None:
    names = ("cat", "sea urchin", "boeing 747", "dog")
    together = backbone.text_features(Classes(names))
    for row, name in enumerate(names):
        alone = backbone.text_features(Classes((name,)))[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)
    turned = backbone.text_features(Classes(names[::-1]))
    torch.testing.assert_close(turned.flip(0), together, atol=1e-6, rtol=1e-5)


def test_context_holding_word_embeddings_is_the_prompt_in_words(backbone: Backbone) -> None:
    words = backbone.tokenize("a photo of a")
    context = backbone.token_embedding(words)
    rows = [-1 - j for j in range(len(words))]
    learnt = [[backbone.sot, *rows, *backbone.tokenize("cat."), backbone.eot]]
    torch.testing.assert_close(
        backbone.encode_prompts(learnt, context), backbone.encode_text(["a photo of a cat."])
    )


def test_everything_is_frozen_and_gradients_pass_through(backbone: Backbone) -> None:
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert not any(module.training for module in backbone.model.modules())
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    backbone.encode_image(images).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_a_trained_copy_of_embeddings_leaves_the_model_alone(backbone: Backbone) -> None:
    before = fingerprint_of(backbone.model)
    backbone.token_embedding(backbone.tokenize("a photo")).add_(1.0)
    assert fingerprint_of(backbone.model) == before


def test_what_it_says_of_itself(backbone: Backbone, original: Any) -> None:
    assert (backbone.feature_dim, backbone.context_dim) == (24, 32)
    assert (backbone.context_length, backbone.image_size) == (40, 32)
    assert backbone.logit_scale == pytest.approx(float(original.logit_scale.exp()))
    assert backbone.fingerprint == fingerprint_of(original) != fingerprint_of(small_clip(1))


def test_long_prompts_are_refused_not_cut(backbone: Backbone) -> None:
    backbone.encode_text(["word " * 38])
    with pytest.raises(ValueError, match=r"'word word .* has 41 tokens, the context holds 40"):
        backbone.encode_text(["cat", "word " * 39])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "no prompts"),
        ([[1, 2, 3]], "from sot 49406 to eot 49407"),
        ([[49406, -3, 49407]], "entry -3 with a context of 2 rows"),
        ([[49406, *[5] * 39, 49407]], "41 tokens"),
    ],
)
def test_bad_prompts_are_refused(
    backbone: Backbone, prompts: list[list[int]], message: str
) -> None:
    for encode in (backbone.encode_prompts, backbone.encode_prompts_plain):
        with pytest.raises(ValueError, match=message):
            encode(prompts, torch.zeros(2, 32))


def test_bf16_features_are_float32_and_close(make: Callable[..., Backbone]) -> None:
    images = torch.randn(2, 3, 32, 32)
    full, half = make().encode_image(images), make(precision="bf16").encode_image(images)
    assert half.dtype == torch.float32
    assert float(F.cosine_similarity(full, half).min()) > 0.999
