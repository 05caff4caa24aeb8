"""A folder where a model or a file of weights is meant: what it is, and the way that works."""

from __future__ import annotations

import json
from pathlib import Path

from harness.errors import few

OPEN_CLIP_CONFIG = "open_clip_config.json"
TRANSFORMERS_CONFIG = "config.json"
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def about_folder(path: Path) -> str:
    """One line, beginning with the path: what the folder holds, and what to write instead."""
    weights = sorted(file for file in path.iterdir() if file.suffix in ENDINGS)
    if (path / OPEN_CLIP_CONFIG).is_file():
        architecture = _architecture(path / OPEN_CLIP_CONFIG)
        file = weights[0] if weights else path / "open_clip_model.safetensors"
        return (
            f"{path}: a folder, whose {OPEN_CLIP_CONFIG} is not read here; name its architecture "
            f"and its file of weights: {{model: {architecture}, checkpoint: {file}}}"
        )
    if (path / TRANSFORMERS_CONFIG).is_file():
        return (
            f"{path}: a folder of Hugging Face transformers, whose weights have other names than "
            "open_clip's; take the model from an open_clip repository (model: hf-hub:ORG/NAME), "
            "or as {model: ARCHITECTURE, pretrained: TAG}"
        )
    if weights:
        found = few([file.name for file in weights], 3)
        example = f"{{model: ARCHITECTURE, checkpoint: {weights[0]}}}"
        return f"{path}: a folder; name the file of weights in it ({found}): {example}"
    return f"{path}: a folder without weights; name a file that ends in {', '.join(ENDINGS)}"


def _architecture(config: Path) -> str:
    """open_clip's name of the architecture that the folder's configuration describes."""
    import open_clip

    try:
        wanted = json.loads(config.read_text(encoding="utf-8"))["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError):
        return "ARCHITECTURE"
    same = [name for name in open_clip.list_models() if open_clip.get_model_config(name) == wanted]
    return same[0] if same else "ARCHITECTURE"
