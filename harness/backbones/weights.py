"""Where the weights of a backbone lie, and what identifies them. Importable without torch."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.backbones.folders import about_folder
from harness.backbones.spec import (
    EMBEDDED,
    HUB,
    RANDOM,
    BackboneError,
    BackboneSpec,
    MissingWeights,
)
from harness.canonical import content_id

HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
HUB_CONFIG = "open_clip_config.json"
FORMATS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")


def weights_fingerprint(spec: BackboneSpec) -> str:
    """SHA-256 of everything that fixes a backbone's features: architecture, vocabulary, weights.

    Read from files, without building the model; equal to `Backbone.fingerprint`. Random weights
    are identified by how they are drawn (seed and library versions), third-party backbones by
    their source, the weights of the model they build, and their preprocessing; pre-computed
    features by what is said of their model.

    Raises:
        BackboneError: the weights are not here and cannot be fetched.
    """
    if spec.features is not None:  # the features themselves are in the data set's fingerprint
        return _digest("features", str(spec.feature_dim), str(spec.logit_scale))
    if spec.model == EMBEDDED:
        return _digest("embedded", *(_file_sha(path) for path in embedded_files()))
    if spec.pretrained == RANDOM:
        return _digest("random", spec.model, _configuration(spec), str(spec.seed), *_versions())
    if spec.model.startswith(HUB):
        return _digest(
            "hub", *(_file_sha(hub_file(spec.model, name)) for name in (HUB_CONFIG, None))
        )
    if is_open_clip(spec):
        return _digest("open_clip", spec.model, _configuration(spec), _file_sha(weights_file(spec)))
    from harness.backbones.plugin import plugin_parts

    return plugin_parts(spec).fingerprint


def _configuration(spec: BackboneSpec) -> str:
    """SHA-256 of what open_clip knows under the architecture's name, which a user may add to."""
    import open_clip

    return content_id(open_clip.get_model_config(spec.model))


def is_open_clip(spec: BackboneSpec) -> bool:
    """Whether an open_clip architecture is meant, rather than a registered backbone."""
    return spec.pretrained is not None or spec.checkpoint is not None


def embedded_files() -> tuple[Path, Path, Path]:
    """Config, vocabulary and weights of the embedded model."""
    folder = Path(__file__).parent / "glyphs"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise BackboneError(
            f"the embedded model's weights are missing from the package ({weights.name}); make "
            "them with python -m harness.backbones.glyphs.pretrain, or install the package anew"
        )
    return folder / HUB_CONFIG, folder / "bpe_glyphs.txt.gz", weights


def weights_file(spec: BackboneSpec) -> Path:
    """The file that holds an open_clip model's weights, fetched where it is not here yet.

    Raises:
        BackboneError: missing, of an unknown format, or not to be fetched from this machine.
    """
    if spec.checkpoint is not None:
        if spec.checkpoint.is_dir():
            raise BackboneError(f"checkpoint {about_folder(spec.checkpoint)}")
        if not spec.checkpoint.is_file():
            raise MissingWeights(f"checkpoint {spec.checkpoint}: no such file")
        if spec.checkpoint.suffix not in FORMATS:
            raise BackboneError(
                f"checkpoint {spec.checkpoint}: weights are read from {', '.join(FORMATS)} files"
            )
        return spec.checkpoint
    if spec.model.startswith(HUB):
        return hub_file(spec.model)
    config = pretrained_config(spec)
    if config.get("hf_hub"):
        repository, _, filename = config["hf_hub"].rpartition("/")
        return hub_file(HUB + repository, filename or None, spec)
    return _from_url(config, spec)


def pretrained_config(spec: BackboneSpec) -> dict[str, Any]:
    """open_clip's entry for the spec's tag: where from, mean, std, QuickGELU; {} without a tag."""
    if spec.pretrained in (None, RANDOM):
        return {}
    import open_clip

    config: dict[str, Any] = open_clip.get_pretrained_cfg(spec.model, spec.pretrained)
    if not config:
        tags = open_clip.pretrained.list_pretrained_tags_by_model(spec.model)
        elsewhere = open_clip.pretrained.list_pretrained_models_by_tag(spec.pretrained)
        raise BackboneError(
            f'no weights "{spec.pretrained}" for {spec.model}; it has: '
            f'{", ".join(tags) or "none"}; "{spec.pretrained}" exists for: '
            f"{', '.join(elsewhere) or 'no model'}"
        )
    return config


def hub_file(model: str, filename: str | None = None, spec: BackboneSpec | None = None) -> Path:
    """A file of an `hf-hub:` repository, from the local cache or fetched into it."""
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache

    repository = model.removeprefix(HUB)
    names = (filename,) if filename else HUB_WEIGHTS
    if filename and Path(filename).suffix in (".bin", ".pth", ".pt"):
        names = (str(Path(filename).with_suffix(".safetensors")), filename)
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    url = hf_hub_url(repository, names[0])
    reason = _unreachable(url)
    for name in names if reason is None else ():
        try:
            return Path(hf_hub_download(repository, name))
        except Exception as error:  # the hub raises a dozen kinds, all of them: not to be had
            reason = f"{name}: {str(error).splitlines()[0]}"
    raise _missing(url, spec, reason or "not found")


def _unreachable(url: str) -> str | None:
    """Why nothing answers there: asked once, where the hub's client would retry for a minute."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
    except urllib.error.HTTPError:
        return None
    except OSError as error:
        return f"no connection: {getattr(error, 'reason', error)}"
    return None


def _from_url(config: dict[str, Any], spec: BackboneSpec) -> Path:
    import open_clip

    try:
        return Path(open_clip.download_pretrained(config))
    except Exception as error:
        raise _missing(config.get("url", ""), spec, str(error)) from error


def _missing(url: str, spec: BackboneSpec | None, reason: str) -> MissingWeights:
    if spec is None:
        where = "and put it into this machine's Hugging Face cache (HF_HOME)"
    else:
        keys = f"model: {spec.model}, pretrained: {spec.pretrained}, checkpoint: PATH"
        where = f"and name the file in the suite: backbone: {{{keys}}}"
    return MissingWeights(
        f"weights are not on this machine and cannot be fetched ({reason}). "
        f"On a connected machine fetch {url} {where}"
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _file_sha(path: Path) -> str:
    status = path.stat()
    return _hash_once(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_once(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> list[str]:
    """Of the libraries that draw random weights, without local suffixes such as +cpu."""
    names = ("torch", "open_clip_torch", "timm")
    return [version(name).partition("+")[0] for name in names]
