"""Templates and the length of prompts: what cannot be read is refused by plan, class named."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
from PIL import Image

from harness.backbones import BackboneSpec, load_backbone
from harness.backbones.notes import notes_of
from harness.backbones.prompt_limit import PromptLimit
from harness.classes import check_template
from harness.datasets import load_dataset
from harness.errors import HarnessError
from harness.plan.expand import outline
from harness.plan.suite import load_suite
from harness.verbs.show import backbone_notes

SETS = ("digits", "letters", "greek", "georgian", "cards", "glyph_names")
GRID = "shots: 1\nseeds: 1\nmethods: zero_shot\n"


def folder(root: Path, names: list[str], template: str = "a photo of a {}.") -> None:
    """An image a class and split under the given names, as a split file tells them."""
    split: dict[str, object] = {"classnames": names, "template": template}
    for shade, part in enumerate(("train", "val", "test")):
        rows = []
        for label, name in enumerate(names):
            image = f"{part}{label}.png"
            Image.new("RGB", (8, 8), (label * 80, shade * 80, 0)).save(root / image)
            rows.append([image, label, name])
        split[part] = rows
    (root / "split.json").write_text(json.dumps(split))


def planned(root: Path, backbone: str = "glyphs", more: str = "") -> None:
    data = "{name: mine, kind: folder, root: ., split: split.json}"
    path = root / "s.yaml"
    path.write_text(f"backbone: {backbone}\ndatasets: [{data}]\n{GRID}{more}")
    outline(load_suite(path))


@pytest.mark.parametrize("template", ["{}", "a {} of {{braces}}", "{}, in the style of a list: "])
def test_a_template_has_one_place_for_the_name(template: str) -> None:
    check_template(template)
    assert "cat" in template.format("cat")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a photo", 'exactly one "{}" for the class name, has 0'),
        ("a {} or {}", 'exactly one "{}" for the class name, has 2'),
        ("a {name}", 'found "{name}"'),
        ("a {} in {place}", 'found "{place}"'),
        ("a {0}", 'found "{0}"'),
        ("a {:>8}", 'only a bare "{}"'),
        ("a {!r}", 'only a bare "{}"'),
        ("a { b", "a lone brace"),
        ("a {} }", "a lone brace"),
    ],
)
def test_every_other_template_is_refused_wherever_it_comes_from(
    tmp_path: Path, template: str, said: str
) -> None:
    written = json.dumps(template)
    folder(tmp_path, ["red", "blue"], template)
    with pytest.raises(HarnessError) as of_the_set:
        planned(tmp_path)
    folder(tmp_path, ["red", "blue"])
    with pytest.raises(HarnessError) as of_the_suite:
        planned(tmp_path, more=f"templates: {written}\n")
    for error, line, place in ((of_the_set, 2, "datasets[0]"), (of_the_suite, 6, "templates")):
        message = str(error.value)
        assert message.startswith(f"{tmp_path}/s.yaml:{line}: {place}: "), message
        assert f'template "{template}": ' in message and said in message


def test_a_prompt_that_is_too_long_is_refused_with_its_class(tmp_path: Path) -> None:
    long = "very " * 90 + "red"
    folder(tmp_path, ["blue", long, long + "der"])
    with pytest.raises(HarnessError) as caught:
        planned(tmp_path)
    message = str(caught.value)
    assert message.startswith(f'{tmp_path}/s.yaml:2: datasets[0]: mine: class "very very')
    assert "and 1 more classes" in message and "tokens, the context of glyphs holds 40" in message


@pytest.mark.parametrize(
    "backbone", ["glyphs", "{model: ViT-B-32, pretrained: random}", "{model: RN50, checkpoint: x}"]
)
def test_the_limit_is_the_backbones_own(tmp_path: Path, backbone: str) -> None:
    fits = "glyphs" not in backbone
    folder(tmp_path, ["a " * 50 + "b", "red"])
    if fits:
        planned(tmp_path, backbone)
    else:
        with pytest.raises(HarnessError, match="the context of glyphs holds 40"):
            planned(tmp_path, backbone)


def test_the_count_is_that_of_the_backbone() -> None:
    backbone = load_backbone("glyphs")
    limit = PromptLimit(BackboneSpec(model="glyphs"))
    for words in range(30, 45):
        name = " ".join(["x"] * words)
        told = list(limit.too_long([name], ["a {}"]))
        try:
            backbone.encode_text([f"a {name}"])
            assert not told
        except ValueError as error:
            assert f"has {told[0].count} tokens, the context holds 40" in str(error)


def test_the_embedded_sets_fit_the_embedded_model() -> None:
    limit = PromptLimit(BackboneSpec(model="glyphs"))
    for name in SETS:
        data = load_dataset(name)
        assert not list(limit.too_long(data.class_names, data.templates)), name


def test_a_doubtful_mean_and_std_is_said_in_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("w.pt")
    untagged = BackboneSpec(model="MobileCLIP-S1", checkpoint=path)
    (note,) = backbone_notes(untagged)
    assert "read with OpenAI's mean and std" in note and "datacompdr: mean [0.0, 0.0, 0.0]" in note
    tagged = BackboneSpec(model="MobileCLIP-S1", pretrained="datacompdr", checkpoint=path)
    assert not any("mean" in note for note in backbone_notes(tagged))
    common = BackboneSpec(model="ViT-B-32", checkpoint=path)  # most tags have OpenAI's
    assert backbone_notes(common) == ()
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-B-32", {})
    assert notes_of(common, {}) == ()  # nothing published, nothing to doubt
