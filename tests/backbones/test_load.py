"""Loading: the right weights, nothing executed from them, and errors that name the fix."""

import json
import pickle
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from small_clip import TEXT, VISION, small_clip

from harness.backbones import (
    BackboneError,
    BackboneSpec,
    load_backbone,
    preflight,
    weights_fingerprint,
)
from harness.backbones.load import tokenizer_of

TINY = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}


@pytest.fixture(autouse=True)
def tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip knows `tiny`, `tiny-quickgelu`, and weights `web` (QuickGELU) of both."""
    known = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setitem(known, "tiny", TINY)
    monkeypatch.setitem(known, "tiny-quickgelu", {**TINY, "quick_gelu": True})
    tag = {"web": {"hf_hub": "nobody/tiny/", "quick_gelu": True, "mean": (0.5,) * 3}}
    tag["web"]["std"] = (0.25,) * 3
    for name in ("tiny", "tiny-quickgelu"):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tag)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def spec(**keys: Any) -> BackboneSpec:
    return BackboneSpec.model_validate({"model": "tiny", **keys})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_file(small_clip(3).state_dict(), path)
    return path


def test_random_weights_follow_the_seed_and_leave_the_generator_alone() -> None:
    state = torch.get_rng_state()
    one, again = load_backbone(spec(pretrained="random")), load_backbone(spec(pretrained="random"))
    other = load_backbone(spec(pretrained="random", seed=1))
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.encode_image(image), again.encode_image(image))
    assert not torch.allclose(one.encode_image(image), other.encode_image(image))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_checkpoint_is_loaded_and_fingerprinted(tmp_path: Path, suffix: str) -> None:
    path, model = tmp_path / f"weights{suffix}", small_clip(3)
    if suffix == ".pt":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_file(model.state_dict(), path)
    asked = spec(checkpoint=path)
    backbone = load_backbone(asked)
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(
        backbone.encode_image(image), model.encode_image(image), atol=5e-6, rtol=1e-5
    )
    assert backbone.name == f"tiny/weights{suffix}"
    assert backbone.fingerprint == weights_fingerprint(asked)


def test_the_fingerprint_knows_the_bytes_and_the_architecture(checkpoint: Path) -> None:
    before = weights_fingerprint(spec(checkpoint=checkpoint))
    quick = spec(model="tiny-quickgelu", checkpoint=checkpoint)
    assert weights_fingerprint(quick) != before
    save_file(small_clip(4).state_dict(), checkpoint)
    assert weights_fingerprint(spec(checkpoint=checkpoint)) != before


@pytest.mark.parametrize("weights", ["checkpoint", "pretrained"])
def test_the_fingerprint_knows_what_stands_under_the_architectures_name(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    asked = spec(**{weights: {"checkpoint": checkpoint, "pretrained": "random"}[weights]})
    before = weights_fingerprint(asked)
    other = {**TINY, "text_cfg": {**TEXT, "heads": 1}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", other)
    assert weights_fingerprint(asked) != before


def test_a_file_given_with_its_tag_has_the_tags_preprocessing(checkpoint: Path) -> None:
    asked = spec(model="tiny-quickgelu", pretrained="web", checkpoint=checkpoint)
    backbone = load_backbone(asked)
    assert (backbone.mean, backbone.std) == ((0.5,) * 3, (0.25,) * 3)
    assert backbone.name == "tiny-quickgelu/web"


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def test_nothing_in_a_checkpoint_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open("bomb.pt", "wb") as file:
        pickle.dump({"state_dict": Bomb()}, file)
    torch.save({"state_dict": Bomb()}, "zip.pt")
    for name in ("bomb.pt", "zip.pt"):
        with pytest.raises(BackboneError, match=f"{name}: (holds|not a file of plain tensors)"):
            load_backbone(spec(checkpoint=tmp_path / name))
    assert not Path("exploded").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_of_another_image_size_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    large = open_clip.CLIP(24, {**VISION, "image_size": 48}, dict(TEXT))
    (save_file if suffix == ".safetensors" else torch.save)(large.state_dict(), path)
    with pytest.raises(BackboneError, match=r"shape \(37, 48\), tiny at .*32.* pixels needs"):
        load_backbone(spec(checkpoint=path))


def test_preflight_names_the_architecture_that_the_weights_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.safetensors"
    larger = {**TINY, "vision_cfg": {**VISION, "image_size": 48}}
    save_file(open_clip.CLIP(**larger).state_dict(), path)
    message = r"large\.safetensors: .* \(37, 48\), tiny at 32 pixels needs \(17, 48\); "
    with pytest.raises(BackboneError, match=message + "use the architecture"):
        preflight(spec(checkpoint=path))
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-48", larger)
    right = "the weights were trained at 48 pixels: write model: tiny-48"
    with pytest.raises(BackboneError, match=message + right):
        preflight(spec(checkpoint=path))
    preflight(spec(model="tiny-48", checkpoint=path))
    oblong = {**larger, "vision_cfg": {**VISION, "image_size": (48, 48)}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-oblong", oblong)
    preflight(spec(model="tiny-oblong", checkpoint=path))


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    deep = open_clip.CLIP(24, {**VISION, "layers": 4}, dict(TEXT))
    save_file(deep.state_dict(), path)
    with pytest.raises(BackboneError, match=r"does not fit tiny: .*resblocks"):
        load_backbone(spec(checkpoint=path))


def test_activations_must_be_those_of_the_weights() -> None:
    with pytest.raises(
        BackboneError, match=r"trained with QuickGELU.* write model: tiny-quickgelu"
    ):
        load_backbone(spec(pretrained="web"))
    with pytest.raises(BackboneError, match="write model: ViT-B-16-quickgelu"):
        load_backbone(spec(model="ViT-B-16", pretrained="openai"))


@pytest.mark.usefixtures("offline")
def test_missing_weights_say_what_to_fetch_and_where_to_put_it() -> None:
    asked = spec(model="tiny-quickgelu", pretrained="web")
    message = (
        r"no route to host.*fetch https://\S*nobody/tiny/\S*open_clip_model.safetensors and name "
        r"the file.*\{model: tiny-quickgelu, pretrained: web, checkpoint: PATH\}"
    )
    for act in (weights_fingerprint, load_backbone):
        with pytest.raises(BackboneError, match=message):
            act(asked)
    with pytest.raises(BackboneError, match=r"no route to host.*HF_HOME"):
        load_backbone("hf-hub:nobody/tiny")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "tinny", "pretrained": "random"}, 'no model "tinny".*did you mean "tiny"'),
        ({"pretrained": "wob"}, 'no weights "wob" for tiny; it has: web'),
        ({}, r'unknown backbone "tiny".*pretrained: TAG'),
        ({"checkpoint": "gone.pt"}, "gone.pt: no such file"),
        ({"checkpoint": __file__}, "weights are read from .safetensors"),
    ],
)
def test_what_does_not_exist_is_refused(keys: dict[str, str], message: str) -> None:
    with pytest.raises(BackboneError, match=message):
        load_backbone(spec(**keys))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pretraned": "random"}, "Extra inputs"),
        ({"pretrained": "web", "seed": 1}, "seed: only for"),
        ({"pretrained": "random", "checkpoint": "a.pt"}, "not both"),
        ({"model": "glyphs", "pretrained": "web"}, "brings its own weights"),
    ],
)
def test_inconsistent_specs_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**keys)


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("cpu", "fp16", 'unknown precision "fp16".*fp16-amp'),
        ("cpu", "fp16-amp", "needs a GPU"),
        ("cuda:99", "fp32", '"cuda:99" is not on this machine'),
        ("gpu", "fp32", 'unknown device "gpu"'),
        ("mps", "fp32", 'device "mps": only cpu and cuda are computed on'),
    ],
)
def test_devices_and_precisions_are_checked(device: str, precision: str, message: str) -> None:
    with pytest.raises(BackboneError, match=message):
        load_backbone(spec(pretrained="random"), device, precision)


def test_preflight_refuses_what_loading_would_refuse(checkpoint: Path) -> None:
    preflight(spec(checkpoint=checkpoint))
    preflight(spec(pretrained="random"), "cpu", "bf16")
    preflight(BackboneSpec(model="glyphs"))
    for bad in (spec(pretrained="web"), spec(checkpoint="gone.pt"), spec()):
        with pytest.raises(BackboneError):
            preflight(bad)
    with pytest.raises(BackboneError, match="needs a GPU"):
        preflight(spec(pretrained="random"), "cpu", "fp16-amp")


def test_notes_say_what_a_reader_should_know(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_backbone(spec(pretrained="random")).notes == ("random weights",)
    squash = {"web": {"hf_hub": "nobody/tiny/", "resize_mode": "squash"}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", squash)
    (note,) = load_backbone(spec(pretrained="web", checkpoint=checkpoint)).notes
    assert "'squash'" in note


def test_a_relative_checkpoint_starts_at_the_suite(tmp_path: Path) -> None:
    assert spec(checkpoint="w/a.pt").resolve(tmp_path).checkpoint == tmp_path / "w" / "a.pt"
    assert BackboneSpec.model_validate("glyphs").resolve(tmp_path).name == "glyphs"


def test_the_embedded_model_loads_by_name() -> None:
    backbone = load_backbone("glyphs")
    assert (backbone.image_size, backbone.context_length) == (32, 40)
    assert backbone.fingerprint == weights_fingerprint(BackboneSpec(model="glyphs"))
    assert len(backbone.sites) == 6 * (6 + 4)


def test_a_siglip_model_takes_the_plain_path_without_a_start_token() -> None:
    """Its text tower is not causal and its vocabulary has no start token."""
    config = open_clip.get_model_config("ViT-B-16-SigLIP")
    config["vision_cfg"]["timm_model_name"] = "vit_tiny_patch16_224"
    config["vision_cfg"] |= {"timm_pool": "avg", "timm_proj": "linear"}
    config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 2}
    config["embed_dim"] = 32
    open_clip.factory._MODEL_CONFIGS["tiny-siglip"] = config
    try:
        backbone = load_backbone(spec(model="tiny-siglip", pretrained="random"))
    finally:
        del open_clip.factory._MODEL_CONFIGS["tiny-siglip"]
    cat = backbone.tokenize("cat")
    learnt = torch.zeros(1, 32, requires_grad=True)
    prompts = [[backbone.sot, -1, *cat, backbone.eot], [backbone.sot, *cat, backbone.eot]]
    features = backbone.encode_prompts(prompts, learnt)
    padded = torch.full((1, 64), 1)
    padded[0, : len(cat)] = torch.tensor(cat)
    torch.testing.assert_close(features[1:], backbone.model.encode_text(padded))
    features[0].sum().backward()
    assert learnt.grad is not None and learnt.grad.abs().sum() > 0


def test_specs_and_the_embedded_fingerprint_need_no_torch() -> None:
    code = (
        "import sys; from harness.backbones import BackboneSpec, "
        "describe_backbones, weights_fingerprint as f; assert len(describe_backbones()) >= 5; "
        "f(BackboneSpec(model='glyphs')); "
        "assert not {'torch', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("place", ["text_cfg", "vision_cfg"])
def test_a_model_that_asks_to_run_its_own_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """open_clip hands `tokenizer_kwargs` of a hub's config on to transformers."""
    config = {"embed_dim": 24, "vision_cfg": dict(VISION), "text_cfg": dict(TEXT)}
    config[place]["tokenizer_kwargs"] = {"trust_remote_code": True}
    path = tmp_path / "open_clip_config.json"
    path.write_text(json.dumps({"model_cfg": config}))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *names: str(path))
    for act in (preflight, load_backbone):
        with pytest.raises(BackboneError, match=r"nobody/tiny: .* trust_remote_code: True"):
            act(BackboneSpec(model="hf-hub:nobody/tiny"))


def test_transformers_is_told_to_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr("open_clip.get_tokenizer", lambda model, **keys: told.update(keys))
    config = {"text_cfg": {"hf_tokenizer_name": "nobody/words"}}
    tokenizer_of(config, BackboneSpec(model="hf-hub:nobody/tiny"))
    assert told == {"trust_remote_code": False}
