"""Zero-shot accuracy on whichever embedded data sets are present; used while pre-training runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from open_clip.model import CLIP
from torch.nn import functional as F

from harness.backbones.glyphs.zeroshot import zero_shot_accuracy

DATA_FOLDER: Final = Path(__file__).parents[2] / "datasets" / "embedded"


def expand(images: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images (n, h, w[, 3]) uint8 as (n, 32, 32, 3) uint8: grey to RGB, small ones bicubic."""
    x = torch.from_numpy(images)
    x = x[..., None].expand(*x.shape, 3) if x.ndim == 3 else x
    if x.shape[1] != 32:
        channels_first = x.permute(0, 3, 1, 2).float()
        bigger = F.interpolate(channels_first, size=32, mode="bicubic", align_corners=False)
        x = bigger.round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    return np.ascontiguousarray(x.numpy())


def embedded_zero_shot(
    model: CLIP, tokenizer: Any, folder: Path = DATA_FOLDER, only: Sequence[str] = ()
) -> dict[str, float]:
    """Top-1 accuracy on the test split of each data set (or of `only`) under its own template."""
    index_path = folder / "index.json"
    if not index_path.exists():
        return {}
    index = json.loads(index_path.read_text(encoding="utf-8"))
    model.eval()
    figures = {}
    for name, entry in index.items():
        if only and name not in only:
            continue
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            images, labels = expand(arrays["test_x"]), arrays["test_y"]
        accuracy = zero_shot_accuracy(
            model, tokenizer, images, labels, entry["class_names"], entry["template"]
        )
        figures[name] = round(accuracy, 4)
    return figures
