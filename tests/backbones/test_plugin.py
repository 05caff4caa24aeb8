"""Third-party backbones: found by entry point or in a file, identified by all that they are."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from open_clip.tokenizer import SimpleTokenizer
from small_clip import small_clip

from harness.backbones import (
    BackboneError,
    BackboneSpec,
    load_backbone,
    preflight,
    weights_fingerprint,
)
from harness.backbones.fingerprint import fingerprint_of
from harness.backbones.plugin import plugin_parts
from harness.plan.expand import make_plan
from harness.plan.suite import load_suite


def third_party() -> tuple[Any, Any, dict[str, Any]]:
    preprocess = {"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}
    return small_clip(5), SimpleTokenizer(context_length=40), preprocess


def test_a_third_party_backbone_is_found_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "third_party", third_party)
    entry = EntryPoint("mine", f"{__name__}:third_party", "harness.backbones")
    for module in ("registry", "source"):
        monkeypatch.setattr(f"harness.{module}.plugins", lambda group: {"mine": entry})
    backbone = load_backbone("mine")
    assert backbone.mean == (0.1, 0.2, 0.3)
    assert backbone.fingerprint == weights_fingerprint(BackboneSpec(model="mine"))
    assert load_backbone("mine").sites.keys() == backbone.sites.keys(), "a second one is whole too"


PLUGIN = """\
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer

def build(std=(1.0, 1.0, 1.0), **more):
    torch.manual_seed(0)
    model = CLIP(8, {vision}, {text})
    preprocess = {{"mean": (0.5, 0.5, 0.5), "std": std, **more}}
    return model, SimpleTokenizer(context_length=40), preprocess

def darker():
    return build((0.5, 0.5, 0.5))

def bilinear():
    return build(interpolation="bilinear")

def wrong():
    return build()[:2]

def fails():
    raise FileNotFoundError("my weights")
""".format(
    vision={"image_size": 16, "patch_size": 8, "width": 16, "layers": 1, "head_width": 16},
    text={"context_length": 40, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
)


def planned(folder: Path, function: str = "build", text: str = PLUGIN) -> tuple[str, str]:
    """Id and name of a cell whose backbone comes from a file in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(text)
    suite = folder / "suite.yaml"
    suite.write_text(
        f"backbone: mine.py:{function}\ndatasets: [digits]\nshots: [1]\nseeds: [1]\n"
        "methods: [zero_shot]\n"
    )
    (cell,) = make_plan(load_suite(suite)).cells
    assert str(folder) not in cell.identity.canonical, "no path of this machine in the identity"
    return cell.id, cell.backbone


def test_a_backbone_from_a_file_is_identified_by_source_weights_and_preprocessing(
    tmp_path: Path,
) -> None:
    found = planned(tmp_path / "here")
    assert found[1] == "mine.py:build"
    assert planned(tmp_path / "elsewhere") == found
    edited = planned(tmp_path / "edited", text=PLUGIN + "# another forward pass, say\n")
    reseeded = planned(tmp_path / "reseeded", text=PLUGIN.replace("seed(0)", "seed(1)"))
    others = [planned(tmp_path / name, name) for name in ("darker", "bilinear")]
    ids = [found[0], edited[0], reseeded[0], *(cell_id for cell_id, _ in others)]
    assert len(set(ids)) == len(ids)


def test_a_vocabulary_read_from_a_file_beside_the_source_changes_the_id(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one")
    reads = PLUGIN + (
        "\n\ndef reads():\n"
        "    from pathlib import Path\n"
        "    model, tokenizer, given = build()\n"
        "    word = Path(__file__).with_name('words.txt').read_text()\n"
        "    tokenizer.encoder = {**tokenizer.encoder, word: 0}\n"
        "    return model, tokenizer, given\n"
    )
    before = planned(tmp_path, "reads", reads)
    plugin_parts.cache_clear()
    assert planned(tmp_path, "reads", reads) == before
    (tmp_path / "words.txt").write_text("two")
    plugin_parts.cache_clear()
    assert planned(tmp_path, "reads", reads)[0] != before[0]


def test_preprocessing_alone_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    backbones = [
        load_backbone(BackboneSpec(model=f"{tmp_path / 'mine.py'}:{name}"))
        for name in ("build", "darker", "bilinear")
    ]
    assert len({fingerprint_of(backbone.model) for backbone in backbones}) == 1
    assert len({backbone.fingerprint for backbone in backbones}) == 3
    assert [backbone.std[0] for backbone in backbones] == [1.0, 0.5, 1.0]
    assert backbones[2].notes == ("trained on images resized by a bilinear filter; here bicubic",)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("wrong", r'mine.py:wrong" returned \(CLIP, SimpleTokenizer\).*expected \(open_clip model'),
        ("fails", 'mine.py:fails": FileNotFoundError: my weights'),
    ],
)
def test_a_function_that_is_no_backbone_is_refused(
    tmp_path: Path, function: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    with pytest.raises(BackboneError, match=message):
        preflight(BackboneSpec(model=f"{tmp_path / 'mine.py'}:{function}"))
