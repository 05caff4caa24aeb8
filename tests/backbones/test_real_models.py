"""Real architectures at full depth with random weights: what a user with weights will run on.

Each model is built once, all tests on it run, and it goes. Training is one step, on one image where
the image tower is trained; singular vectors are computed once per shape, since only the form
matters here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.backbones import Backbone, BackboneSpec, load_backbone
from harness.contract.toy import Planted, as_batch
from harness.methods.low_rank.family import LowRank
from harness.plan.expand import make_plan
from harness.plan.methods import METHODS, find_method
from harness.plan.suite import load_suite
from harness.registry import plugins
from harness.run.cell import run_cell
from harness.run.resources import Resources
from harness.task import Batch, Classes, Method, NotApplicable, Task

MODELS = ("ViT-B-32", "ViT-B-16", "RN50", "ViT-B-16-SigLIP")
TEXTS = ("a photo of a cat.", "a photo of two big dogs, a type of pet.")


@dataclass
class Real:
    """A backbone; what open_clip's own forward pass gave before the harness took it over."""

    name: str
    backbone: Backbone
    images: Tensor
    image_features: Tensor
    text_features: Tensor
    task: Task
    batch: Batch
    weights: dict[str, int]


@pytest.fixture(scope="module", params=MODELS)
def real(request: pytest.FixtureRequest) -> Iterator[Real]:
    before: dict[str, Tensor] = {}
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))

    def take_over(model: Any, tokenizer: Any, **how: Any) -> Backbone:
        perturb(model)
        model.eval()
        with torch.no_grad():
            before["image"] = model.encode_image(images)
            before["text"] = model.encode_text(tokens(model, tokenizer))
        return Backbone(model, tokenizer, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.backbones.load.Backbone", take_over)
        spec = BackboneSpec(model=request.param, pretrained="random")
        backbone = load_backbone(spec, "cpu")
    task = Planted(backbone, classes=2, shots=1).task()
    found = Real(
        request.param,
        backbone,
        images,
        before["image"],
        before["text"],
        task,
        as_batch(images, backbone),
        checksums(backbone.model),
    )
    yield found


def perturb(model: Any) -> None:
    """Biases and norms off their initial zeros and ones, so that none can be lost unnoticed."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)


def tokens(model: Any, tokenizer: Any) -> Tensor:
    """(2, L) ids at the full context length, as open_clip's tokenizers pad them."""
    if callable(tokenizer):
        ids: Tensor = tokenizer(list(TEXTS))
        return ids
    rows = [[*tokenizer.encode(text), tokenizer.eot_token_id] for text in TEXTS]
    padding = tokenizer.pad_token_id
    return torch.tensor([row + [padding] * (model.context_length - len(row)) for row in rows])


def checksums(model: nn.Module) -> dict[str, int]:
    """Of every tensor's bytes: their sum, four at a time."""
    return {
        name: int(tensor.contiguous().view(-1).view(torch.int32).sum(dtype=torch.int64))
        for name, tensor in model.state_dict().items()
    }


def fresh(task: Task, **changes: Any) -> Task:
    return replace(task, generator=torch.Generator().manual_seed(0), **changes)


def adapts_images(method: type[Method]) -> bool:
    return method().work(2, 2, 1).adapts_images


def brief(method: type[Method], **changes: Any) -> Any:
    """A method's defaults for one step: of one image, or on one cached view where that will do."""
    config = method.Config()
    one = {"batch": 1} if adapts_images(method) else {"views": 1}
    changes = {"steps": 1, "train_views": 1, **one, **changes}
    known = {field.name for field in fields(config)}
    return replace(config, **{key: value for key, value in changes.items() if key in known})


@pytest.fixture
def quick_spectra(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.methods.low_rank.spectra import spectrum

    found: dict[torch.Size, Any] = {}

    def by_shape(linear: nn.Linear) -> Any:
        if linear.weight.shape not in found:
            found[linear.weight.shape] = spectrum(linear)
        return found[linear.weight.shape]

    monkeypatch.setattr("harness.methods.low_rank.comp_lora.spectrum", by_shape)
    monkeypatch.setattr("harness.methods.low_rank.family.leakage", lambda deltas, protected: {})


def test_features_equal_the_original_models(real: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = real.backbone
    if real.name.endswith("SigLIP"):  # its text tower is not causal: the packed path is not exact
        monkeypatch.setattr("harness.backbones.backbone.encode_packed", None)
    with torch.no_grad():
        image, text = backbone.encode_image(real.images), backbone.encode_text(TEXTS)
    for found, expected in ((image, real.image_features), (text, real.text_features)):
        assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.usefixtures("quick_spectra")
@pytest.mark.parametrize("name", sorted(plugins(METHODS)))
def test_every_method_fits(real: Real, name: str) -> None:
    method = find_method(name)
    config = brief(method)
    if real.name == "RN50" and adapts_images(method):
        with pytest.raises(NotApplicable, match="RN50/random-0"):
            method(config).fit(fresh(real.task))
        if not issubclass(method, LowRank):
            return
        config = brief(method, encoders="text", views=1)
    classifier = method(config).fit(fresh(real.task))
    logits = classifier.logits(real.batch)
    assert logits.shape == (1, 2) and bool(logits.isfinite().all())
    if name == "lora":
        sites = {"RN50": 36, "ViT-B-16": 72, "ViT-B-32": 72, "ViT-B-16-SigLIP": 72}[real.name]
        assert len(classifier.state()) == 2 * sites
        if real.name == "ViT-B-16":
            assert classifier.trainable == 184_320
    rebound = classifier.rebind(Classes(("dog",)))
    slow = adapts_images(method)  # another pass through both towers, and as it was above
    assert rebound is None or slow or rebound.logits(real.batch).shape == (1, 1)


class Interrupted(Exception):
    pass


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise Interrupted


def test_no_fit_leaves_a_trace_not_even_one_that_fails(real: Real) -> None:
    """After all the fits above, one that is interrupted, and a branch that fails amid a tower."""

    def interrupt(step: int, steps: int) -> None:
        raise Interrupted

    backbone, model = real.backbone, real.backbone.model
    config = brief(find_method("lora"), encoders="text", views=1)
    with pytest.raises(Interrupted):
        find_method("lora")(config).fit(fresh(real.task, progress=interrupt))
    for site in [name for name in backbone.sites if name.endswith(".3.v")]:
        with pytest.raises(Interrupted), backbone.inject({site: Failing()}):
            backbone.encode_image(real.images)
            backbone.encode_text(TEXTS)
    assert checksums(model) == real.weights
    assert not any(module._forward_hooks for module in model.modules())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("real", ["RN50"], indirect=True)
def test_lora_on_a_resnet_is_a_skipped_cell_with_the_reason(
    real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "backbone: {model: RN50, pretrained: random}\n"
        "datasets: [georgian]\nshots: [1]\nseeds: [1]\nmethods: [lora]\n"
    )
    (cell,) = make_plan(load_suite(suite)).cells
    monkeypatch.setattr("harness.backbones.load_backbone", lambda *how: real.backbone)
    record = run_cell(cell, Resources(tmp_path / "cache", "cpu")).record
    assert record.status == "skipped"
    assert record.failure is not None
    assert record.failure.message == (
        "lora: RN50/random-0 has no linears to adapt in its vision encoder; choose the other "
        "with `encoders`"
    )
