"""Files of weights as training programs leave them: unwrapped where that is certain, else refused
before anything runs, in one line that names what was found and never PyTorch's advice."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_clip import TEXT, VISION, small_clip

from harness.backbones import BackboneError, BackboneSpec, load_backbone, preflight
from harness.errors import HarnessError
from harness.plan.expand import outline
from harness.plan.suite import load_suite

Weights = dict[str, torch.Tensor]
TINY = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}


@pytest.fixture(autouse=True)
def tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", TINY)


def spec(path: Path) -> BackboneSpec:
    return BackboneSpec(model="tiny", checkpoint=path)


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"epoch": 3, "state_dict": w, "optimizer": {"state": {}, "lr": 0.1}},
        lambda w: {"model": w},
        lambda w: {"model": {"state_dict": w}},
        lambda w: {"state_dict": prefixed("module.")(w)},
        lambda w: {"state_dict": prefixed("model.")(w)},
        prefixed("_orig_mod."),
        prefixed("module._orig_mod."),
        lambda w: {**w, "input_resolution": torch.tensor(32), "vocab_size": torch.tensor(9)},
    ],
)
@pytest.mark.parametrize("name", ["weights.pt", "model-best.pth.tar", "lightning.ckpt"])
def test_common_wrappings_are_unwrapped(tmp_path: Path, wrap: Any, name: str) -> None:
    model = small_clip(3)
    torch.save(wrap(model.state_dict()), tmp_path / name)
    preflight(spec(tmp_path / name))
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(
        load_backbone(spec(tmp_path / name)).encode_image(image), model.encode_image(image)
    )


class Odd:
    """Whatever a training program may leave beside the weights."""


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (lambda w, p: torch.save({"state_dict": w, "args": argparse.Namespace(lr=1)}, p),
         "holds argparse.Namespace beside the weights"),
        (lambda w, p: torch.save({"state_dict": w, "best": np.float64(1)}, p),
         "holds numpy"),
        (lambda w, p: torch.save({"state_dict": w, "odd": Odd()}, p), "Odd beside the weights"),
        (lambda w, p: torch.save(small_clip(3), p), "save the weights alone"),
        (lambda w, p: torch.save({"epoch": 3, "best": 1.5}, p), 'keys "epoch", "best"'),
        (lambda w, p: torch.save([1, 2], p), "a list, and no tensors by name"),
        (lambda w, p: torch.save({"vision_model.x": torch.ones(1)}, p), "transformers' CLIPModel"),
        (lambda w, p: torch.save({**w, "head.weight": torch.ones(1)}, p),
         r"1 that it does not have \(head.weight\)"),
        (lambda w, p: torch.save({k: v for k, v in w.items() if k != "text_projection"}, p),
         r"1 of its \d+ tensors missing \(text_projection\)"),
        (lambda w, p: torch.save({**w, "text_projection": torch.ones(2, 3)}, p),
         r"1 of another shape \(text_projection \(2, 3\), needs \(\d+, 24\)\)"),
        (lambda w, p: p.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda w, p: p.write_text("<!DOCTYPE html><html></html>"), "a web page"),
        (lambda w, p: p.write_bytes(b"\x00\x01\x02 junk"), "not a file of plain tensors"),
        (lambda w, p: p.write_bytes(b""), "not a file of plain tensors"),
        (lambda w, p: torch.jit.script(torch.nn.Linear(2, 2)).save(str(p)), "TorchScript archive"),
        (lambda w, p: p.mkdir(), "a folder without weights"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_cannot_be_read_is_refused_by_plan_in_one_line(
    tmp_path: Path, save: Any, said: str
) -> None:
    path = tmp_path / "weights.pt"
    save(small_clip(3).state_dict(), path)
    suite = tmp_path / "s.yaml"
    suite.write_text(
        "backbone: {model: tiny, checkpoint: weights.pt}\ndatasets: digits\nshots: 1\nseeds: 1\n"
        "methods: zero_shot\n"
    )
    with pytest.raises(HarnessError, match=said) as caught:
        outline(load_suite(suite))
    message = str(caught.value)
    assert message.startswith(f"{suite}:1: backbone: ") and "\n" not in message
    for theirs in ("weights_only", "trust", "\x1b", "Unpickl", "Error("):
        assert theirs not in message
    with pytest.raises(BackboneError, match=said):
        load_backbone(spec(path))


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00not json")
    with pytest.raises(BackboneError, match="damaged, or no safetensors file"):
        preflight(spec(path))


def test_a_zip_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(BackboneError, match="not a file of plain tensors"):
        preflight(spec(tmp_path / "w.pt"))


def folder_of(tmp_path: Path, config: str) -> Path:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    save_file(small_clip(3).state_dict(), folder / "open_clip_model.safetensors")
    content = {"model_cfg": TINY, "preprocess_cfg": {}}
    (folder / config).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("backbone", ["local-dir:models/mine", "models/mine", "./models/mine"])
def test_a_folder_as_a_model_is_refused_with_the_way_that_works(
    tmp_path: Path, backbone: str
) -> None:
    folder = folder_of(tmp_path, "open_clip_config.json")
    with pytest.raises(BackboneError) as caught:
        BackboneSpec(model=backbone).resolve(tmp_path)
    file = folder / "open_clip_model.safetensors"
    assert f"{{model: tiny, checkpoint: {file}}}" in str(caught.value)
    preflight(BackboneSpec(model="tiny", checkpoint=file))  # the way that is named works


def test_a_folder_of_transformers_is_named_as_such(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "config.json")
    for asked in (BackboneSpec(model=str(folder)), BackboneSpec(model="tiny", checkpoint=folder)):
        with pytest.raises(BackboneError, match="folder of Hugging Face transformers"):
            preflight(asked.resolve(tmp_path))


def test_a_file_that_is_not_here_makes_its_cells_wait(tmp_path: Path) -> None:
    suite = tmp_path / "s.yaml"
    suite.write_text(
        "backbone: {model: tiny, checkpoint: gone.pt}\ndatasets: digits\nshots: 1\nseeds: 1\n"
        "methods: zero_shot\n"
    )
    plan = outline(load_suite(suite))
    (missing,) = plan.missing
    assert "gone.pt: no such file" in missing.why and "mend the path" in missing.remedy
