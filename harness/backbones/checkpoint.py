"""A file of weights: read without executing any of it, unwrapped, and compared with its model."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.backbones.spec import BackboneError
from harness.errors import few

Weights = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "weights", "params")
"""Keys under which training programs keep the weights beside epochs, optimisers and the like."""
_ANCHOR = "logit_scale"
"""A tensor that every CLIP has once: what stands before it is a wrapper's prefix, such as
`module.` (DataParallel), `_orig_mod.` (torch.compile) or `model.` (Lightning)."""
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Numbers among the tensors of OpenAI's files."""
_TRANSFORMERS = "vision_model."
_SAVE = "save the weights alone: torch.save(model.state_dict(), PATH)"


def read_weights(path: Path, device: str = "cpu") -> Weights:
    """The tensors of a file by their names, without the wrappers of training programs.

    Args:
        device: "meta" gives shapes alone, without reading the tensors.

    Raises:
        BackboneError: anything but tensors and plain values is in the file (it is named, and not
            executed), or no tensors, or those of another library.
    """
    weights = _unprefixed(_unwrapped(_read(path, device), path))
    if any(name.startswith(_TRANSFORMERS) for name in weights):
        raise BackboneError(
            f"{path}: its tensors have the names of transformers' CLIPModel, not open_clip's; take "
            "the same weights from an open_clip repository (model: hf-hub:ORG/NAME), or of a tag"
        )
    return weights


def fitted(weights: Weights, model: nn.Module, path: Path, name: str) -> Weights:
    """The weights under the names and in the shapes that `model` has.

    Formats that open_clip knows are converted; positions are not resized.

    Raises:
        BackboneError: tensors that are missing, too many, or of another shape; the first are named.
    """
    weights, wanted = _converted(weights, model), model.state_dict()
    missing = [key for key in wanted if key not in weights]
    foreign = [key for key in weights if key not in wanted]
    shapes = [
        f"{key} {_shape(weights[key])}, needs {_shape(wanted[key])}"
        for key in wanted
        if key in weights and weights[key].shape != wanted[key].shape
    ]
    told = [
        f"{len(keys)} {what} ({few(keys, 2)})"
        for keys, what in (
            (shapes, "of another shape"),
            (missing, f"of its {len(wanted)} tensors missing"),
            (foreign, "that it does not have"),
        )
        if keys
    ]
    if told:
        raise BackboneError(
            f"{path} does not fit {name}: {'; '.join(told)}; use the architecture that the weights "
            "were trained in"
        )
    return weights


def _read(path: Path, device: str) -> Any:
    if path.suffix == ".safetensors":
        return _read_safetensors(path, device)
    _refuse_other_formats(path)
    try:
        return torch.load(path, map_location=device, weights_only=True, mmap=_is_zip(path))
    except Exception as error:
        # PyTorch's own message tells users to load unsafely; what is in the file is told instead.
        raise BackboneError(f"{path}: {_what_else(path)}") from error


def _read_safetensors(path: Path, device: str) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if device != "meta":
                return {name: file.get_tensor(name) for name in file.keys()}
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    except SafetensorError:
        raise BackboneError(f"{path}: damaged, or no safetensors file: fetch it again") from None
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def _refuse_other_formats(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise BackboneError(f"{path}: a Git LFS pointer, not the weights: run git lfs pull")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise BackboneError(f"{path}: a web page, not weights: fetch the file itself")
    if _is_zip(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise BackboneError(
                    f"{path}: a TorchScript archive, which is a program; it is not run here. For "
                    "OpenAI's models write pretrained: openai and no checkpoint; else "
                    f"{_SAVE} where the model is loaded"
                )


def _what_else(path: Path) -> str:
    """What keeps a file from being read, and what to do."""
    listed = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    try:
        kinds = sorted(listed(path)) if listed else []
    except Exception:  # not a file of PyTorch's at all
        kinds = []
    if kinds:
        return (
            f"holds {few(kinds, 3)} beside the weights, and only tensors and plain values are "
            f"read (nothing in a checkpoint is executed): where it was written, {_SAVE}"
        )
    return f"not a file of plain tensors, or damaged: fetch it again, or {_SAVE}"


def _unwrapped(found: Any, path: Path) -> Weights:
    """The innermost mapping of names to tensors."""
    while isinstance(found, Mapping):
        inner = [key for key in _WRAPPERS if isinstance(found.get(key), Mapping)]
        if not inner:
            break
        found = found[inner[0]]
    if isinstance(found, Mapping):
        tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
        if tensors:
            return {name: v for name, v in tensors.items() if name not in _NO_WEIGHTS}
    keys = few([f'"{key}"' for key in found], 5) if isinstance(found, Mapping) else ""
    what = f"a mapping with the keys {keys}" if keys else f"a {type(found).__name__}"
    raise BackboneError(f"{path}: {what}, and no tensors by name in it: {_SAVE}")


def _unprefixed(weights: Weights) -> Weights:
    ends = [name for name in weights if name == _ANCHOR or name.endswith(f".{_ANCHOR}")]
    prefix = min(ends, key=len).removesuffix(_ANCHOR) if ends else ""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def _converted(weights: Weights, model: Any) -> Weights:
    """As open_clip's own loading does, but for the resizing of positions."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    weights = convert_state_dict(model, dict(weights))
    if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    weights.pop("text.transformer.embeddings.position_ids", None)  # transformers before 4.31
    for name in ("logit_scale", "logit_bias"):  # a number or a list of one
        own = getattr(model, name, None)
        if own is not None and name in weights and weights[name].numel() == 1:
            weights[name] = weights[name].reshape(own.shape)
    if getattr(model, "logit_bias", None) is not None and "logit_bias" not in weights:
        weights["logit_bias"] = torch.zeros_like(weights["logit_scale"])
    return weights


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}"
