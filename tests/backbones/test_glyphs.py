"""The embedded backbone: its tokenizer, what it has never seen, its rendering, its training."""

import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from safetensors.torch import load_file

from harness.backbones import glyphs
from harness.backbones.glyphs import pretrain
from harness.backbones.glyphs.batches import BatchStream
from harness.backbones.glyphs.corpus import corpus
from harness.backbones.glyphs.evaluate import embedded_zero_shot
from harness.backbones.glyphs.fonts import Bank, Group, build_bank, look_alikes
from harness.backbones.glyphs.names import HELD_OUT_FAMILIES
from harness.backbones.glyphs.render import Distortion, Look, generator_for, render
from harness.backbones.glyphs.tokenizer import cut_merges
from harness.backbones.glyphs.zeroshot import encode_text
from harness.datasets.embedded.recipes import RECIPES

CPU = torch.device("cpu")


@cache
def bank() -> Bank:
    return build_bank()


def small_bank(classes: int = 40) -> Bank:
    """The first rows and groups only, so that a training step is cheap."""
    groups = bank().groups[:classes]
    kept = [row for group in groups for row in group.rows]
    new = {row: i for i, row in enumerate(kept)}
    return Bank(
        bank().masks[kept],
        tuple(bank().faces[row] for row in kept),
        tuple(Group(g.chars, g.names, tuple(new[row] for row in g.rows)) for g in groups),
    )


def test_cut_tokenizer_gives_clips_pieces_on_the_whole_corpus() -> None:
    full, cut = SimpleTokenizer(default_bpe()), glyphs.load_tokenizer()
    for word in {word for text in corpus() for word in text.split()}:
        whole = [full.decoder[token] for token in full.encode(word)]
        assert [cut.decoder[token] for token in cut.encode(word)] == whole


def test_shipped_merges_are_those_the_corpus_needs() -> None:
    tokenizer = glyphs.load_tokenizer()
    assert list(tokenizer.bpe_ranks) == cut_merges(corpus())
    assert tokenizer.vocab_size == glyphs.load_config()["model_cfg"]["text_cfg"]["vocab_size"]


def test_end_of_text_is_the_largest_token() -> None:
    tokenizer = glyphs.load_tokenizer()
    assert tokenizer.eot_token_id == tokenizer.vocab_size - 1


def test_no_training_name_speaks_of_a_held_out_family() -> None:
    for group in bank().groups:
        for char in group.chars:
            assert not any(word in unicodedata.name(char) for word in HELD_OUT_FAMILIES), char


@pytest.mark.parametrize("name", ["georgian", "cards"])
def test_unseen_classes_have_no_look_alike_in_training(name: str) -> None:
    trained = {char for group in bank().groups for char in group.chars}
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    for char in recipe.chars:
        assert char not in trained
        assert not look_alikes(char) & trained, char


def test_characters_that_look_the_same_are_one_class() -> None:
    of_char = {char: i for i, group in enumerate(bank().groups) for char in group.chars}
    assert of_char["A"] == of_char["Α"] == of_char["А"]  # Latin, Greek, Cyrillic
    assert len({of_char[c] for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}) == 36


def test_rendering_is_a_function_of_the_seed() -> None:
    masks = torch.from_numpy(bank().masks[:8])
    first = render(masks, Distortion(), generator_for(3, 1))
    again = render(masks, Distortion(), generator_for(3, 1))
    other = render(masks, Distortion(), generator_for(3, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (8, 3, 32, 32)
    assert 0 <= float(first.min()) and float(first.max()) <= 1


def test_undistorted_rendering_is_the_mask_in_the_named_colours() -> None:
    still = Distortion(0, 0, 0, (44 / 48, 44 / 48), 0, 0, (0, 0), 0, 0, 0, 0)
    mask = torch.zeros(1, 48, 48, dtype=torch.uint8)
    mask[:, :, 24:] = 255
    red, blue = torch.tensor([[0.85, 0.1, 0.1]]), torch.tensor([[0.1, 0.2, 0.85]])
    look = Look(red, blue, torch.zeros(1).bool(), torch.zeros(1).bool())
    image = render(mask, still, generator_for(0), look)[0]
    # Colours keep a jitter of a few hundredths.
    assert torch.allclose(image[:, :, 24], red.T.expand(3, 32), atol=0.2)
    assert torch.allclose(image[:, :, 8], blue.T.expand(3, 32), atol=0.2)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    tokenizer = glyphs.load_tokenizer()
    one, two = (BatchStream(small_bank(), tokenizer, 16, 5, CPU) for _ in range(2))
    one(0)
    assert torch.equal(one(7).images, two(7).images)
    assert torch.equal(one(7).tokens, two(7).tokens)
    assert len({tuple(row) for row in one(7).tokens.tolist()}) == 16


def test_cutting_the_padding_changes_no_text_feature() -> None:
    torch.manual_seed(0)
    model, tokenizer = glyphs.new_model().eval(), glyphs.load_tokenizer()
    tokens = tokenizer(["a photo of a greek small letter alpha.", "digit five"])
    longest = int((tokens != 0).sum(1).max())
    with torch.no_grad():
        whole, cut = model.encode_text(tokens), encode_text(model, tokens[:, :longest])
    torch.testing.assert_close(whole, cut, atol=1e-5, rtol=1e-4)


def test_interrupted_training_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    recipe = pretrain.Recipe(steps=2, names_per_batch=8, warmup_steps=1)
    stream = BatchStream(small_bank(), glyphs.load_tokenizer(), 8, recipe.seed, CPU)
    straight = pretrain.Trainer(recipe, CPU, 40)
    pretrain.train(straight, stream, tmp_path, bank())
    broken = pretrain.Trainer(recipe, CPU, 40)
    pretrain.train(broken, stream, tmp_path, bank(), until=1)
    resumed = pretrain.Trainer(recipe, CPU, 40)
    resumed.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    pretrain.train(resumed, stream, tmp_path, bank())
    for name, tensor in straight.average.state_dict().items():
        assert torch.equal(tensor, resumed.average.state_dict()[name]), name


def test_a_checkpoint_of_another_recipe_is_refused() -> None:
    state = pretrain.Trainer(pretrain.Recipe(steps=2), CPU, 4).state()
    with pytest.raises(ValueError, match="another --out"):
        pretrain.Trainer(pretrain.Recipe(steps=3), CPU, 4).restore(state)


def test_contrastive_loss_of_a_hand_made_case() -> None:
    # Two names, two images each, all images on their text: every term is log(1 + e^-scale) but the
    # text-to-image one, which has two right images among four and so adds log 2.
    texts = torch.eye(2)
    loss = pretrain.contrastive_loss(texts.repeat(2, 1), texts, torch.tensor(3.0))
    term = np.log1p(np.exp(-3.0))
    assert float(loss) == pytest.approx(term + np.log(2) / 2, abs=1e-6)


def test_weights_fit_and_know_their_glyphs() -> None:
    assert glyphs.WEIGHTS_PATH.stat().st_size <= 12_000_000
    model, tokenizer = glyphs.load()
    assert set(load_file(glyphs.WEIGHTS_PATH)) == set(model.state_dict())
    assert sum(p.numel() for p in model.parameters()) < 5_000_000
    figures = embedded_zero_shot(model, tokenizer, only=["glyph_names"])
    assert figures["glyph_names"] >= 0.5
