"""From a `BackboneSpec` to a loaded `Backbone`, with everything checked that can be checked."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import torch

from harness.backbones.backbone import Backbone, Precision
from harness.backbones.checkpoint import fitted, read_weights
from harness.backbones.image_size import check_image_size
from harness.backbones.notes import notes_of
from harness.backbones.plugin import plugin_parts
from harness.backbones.remote_code import refuse_remote_code
from harness.backbones.spec import EMBEDDED, HUB, RANDOM, BackboneError, BackboneSpec, Parts
from harness.backbones.tokens import ByteTokenizer
from harness.backbones.weights import (
    HUB_CONFIG,
    hub_file,
    is_open_clip,
    pretrained_config,
    weights_file,
    weights_fingerprint,
)
from harness.errors import did_you_mean
from harness.wording import named

PREPROCESS = ("mean", "std", "resize_mode", "interpolation")
"""What open_clip says of the images that a tag's weights were trained on."""


def load_backbone(
    spec: BackboneSpec | str, device: str = "auto", precision: str = "fp32"
) -> Backbone:
    """Build and check a backbone.

    Args:
        spec: a spec, or the name of the embedded or of a registered backbone.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`, …
        precision: `fp32`, `bf16` or `fp16-amp`; the latter two by autocast, weights stay float32.

    Raises:
        BackboneError: unknown or unreachable weights, a model that does not fit them, a device
            or precision that this machine does not have. The message names the fix.
    """
    spec = BackboneSpec.model_validate(spec) if isinstance(spec, str) else spec
    where = check_device(device, precision)
    if spec.features is not None:
        return _described(spec, where, precision)
    parts = _parts(spec)
    given = parts.preprocess
    return Backbone(
        parts.model,
        parts.tokenizer,
        name=spec.name,
        fingerprint=parts.fingerprint,
        mean=tuple(given["mean"]),
        std=tuple(given["std"]),
        device=where,
        precision=precision,  # type: ignore[arg-type]  # checked above
        notes=notes_of(spec, given),
    )


def _described(spec: BackboneSpec, device: torch.device, precision: str) -> Backbone:
    from harness.backbones.features_only import FeaturesOnly

    assert spec.feature_dim is not None and spec.logit_scale is not None  # the spec's own check
    return FeaturesOnly(
        name=spec.name,
        fingerprint=weights_fingerprint(spec),
        feature_dim=spec.feature_dim,
        logit_scale=spec.logit_scale,
        device=device,
        precision=precision,  # type: ignore[arg-type]  # checked by the caller
    )


def preflight(spec: BackboneSpec, device: str = "auto", precision: str = "fp32") -> None:
    """Everything that `load_backbone` would refuse and that shows without reading the weights.

    Raises:
        BackboneError: as `load_backbone`.
    """
    check_device(device, precision)
    if spec.model.startswith(HUB) or is_open_clip(spec):
        check_weights(spec)
    else:
        weights_fingerprint(spec)


def check_weights(spec: BackboneSpec) -> None:
    """What `load_backbone` would refuse of an open_clip model, by its weights' names and shapes.

    Raises:
        BackboneError: as `architecture`, `weights_file`, `read_weights` and `fitted`.
    """
    config, _ = architecture(spec)
    if spec.pretrained == RANDOM:
        return
    path = weights_file(spec)
    weights = read_weights(path, "meta")
    check_image_size(path, weights, config, spec)
    with torch.device("meta"):
        model = _build(config, spec)
    fitted(weights, model, path, spec.model)


def check_device(device: str, precision: str) -> torch.device:
    """The device meant, if it is here and computes in this precision.

    Raises:
        BackboneError: it is not, or does not.
    """
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise BackboneError(f'unknown precision "{precision}": use {known}')
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(device)
    except RuntimeError:
        raise BackboneError(f'unknown device "{device}": use auto, cpu, cuda, cuda:1') from None
    if where.type not in ("cpu", "cuda"):
        raise BackboneError(f'device "{device}": only cpu and cuda are computed on; use auto')
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise BackboneError(f'device "{device}" is not on this machine; use cpu or auto')
    if precision == "fp16-amp" and where.type == "cpu":
        raise BackboneError("precision fp16-amp needs a GPU; on a CPU use fp32 or bf16")
    if precision == "bf16" and where.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise BackboneError("this GPU has no bf16; use fp16-amp or fp32")
    return where


def _parts(spec: BackboneSpec) -> Parts:
    if spec.model == EMBEDDED:
        return _embedded(spec)
    if spec.model.startswith(HUB) or is_open_clip(spec):
        return _open_clip(spec)
    fresh = plugin_parts(spec)
    return Parts(deepcopy(fresh.model), fresh.tokenizer, fresh.preprocess, fresh.fingerprint)


def _embedded(spec: BackboneSpec) -> Parts:
    fingerprint = weights_fingerprint(spec)
    from harness.backbones import glyphs

    preprocess = json.loads(Path(glyphs.CONFIG_PATH).read_text("utf-8"))["preprocess_cfg"]
    return Parts(glyphs.load_model(), glyphs.load_tokenizer(), preprocess, fingerprint)


def _open_clip(spec: BackboneSpec) -> Parts:
    config, preprocess = architecture(spec)
    fingerprint = weights_fingerprint(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = _build(config, spec)
    if spec.pretrained != RANDOM:
        path = weights_file(spec)
        weights = read_weights(path)
        check_image_size(path, weights, config, spec)
        model.load_state_dict(fitted(weights, model, path, spec.model))
    return Parts(model, tokenizer_of(config, spec), preprocess, fingerprint)


def architecture(spec: BackboneSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """open_clip's model config and preprocessing for `spec`, checked against each other.

    Raises:
        BackboneError: unknown architecture or tag, or activations that differ from those the
            weights were trained with; a hub's config that asks to run code.
    """
    import open_clip

    defaults = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    if spec.model.startswith(HUB):
        whole = json.loads(hub_file(spec.model, HUB_CONFIG).read_text("utf-8"))
        refuse_remote_code(whole, spec.name)
        return whole["model_cfg"], {**defaults, **whole.get("preprocess_cfg", {})}
    config = open_clip.get_model_config(spec.model)
    if config is None:
        hint = did_you_mean(spec.model, open_clip.list_models())
        raise BackboneError(f'open_clip has no model "{spec.model}"{hint}')
    tag = pretrained_config(spec)
    if tag and bool(tag.get("quick_gelu")) != bool(config.get("quick_gelu")):
        quick = spec.model.removesuffix("-quickgelu") + "-quickgelu"
        right = quick if tag.get("quick_gelu") else spec.model.removesuffix("-quickgelu")
        raise BackboneError(
            f'the weights "{spec.pretrained}" were trained with '
            f"{'QuickGELU' if tag.get('quick_gelu') else 'GELU'}, which {spec.model} does not "
            f"compute; write model: {right}"
        )
    return config, {**defaults, **{k: tag[k] for k in PREPROCESS if k in tag}}


def _build(config: dict[str, Any], spec: BackboneSpec) -> Any:
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    config = deepcopy(config)
    custom = config.pop("custom_text", False)
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in config["text_cfg"]:
        custom = True
        config["text_cfg"]["hf_model_pretrained"] = False
    kind = CoCa if "multimodal_cfg" in config else CustomTextCLIP if custom else CLIP
    try:
        return kind(**config)
    except Exception as error:
        reason = named(error)
        raise BackboneError(f"{spec.name}: open_clip cannot build it here: {reason}") from error


def tokenizer_of(config: dict[str, Any], spec: BackboneSpec) -> Any:
    """open_clip's tokenizer of an architecture.

    Raises:
        BackboneError: it is not on this machine and cannot be fetched.
    """
    import open_clip

    foreign = config["text_cfg"].get("hf_tokenizer_name")
    if foreign and spec.pretrained == RANDOM:
        return ByteTokenizer()
    try:
        closed = {"trust_remote_code": False} if foreign else {}
        return open_clip.get_tokenizer(spec.model, **closed)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise BackboneError(
            f"{spec.name}: its tokenizer {foreign or ''} cannot be loaded ({reason}); install "
            "transformers, and fetch the tokenizer into the Hugging Face cache (HF_HOME)"
        ) from error
