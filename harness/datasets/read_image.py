"""Image files into pixels: 8 bits a channel, red, green and blue, whatever the file holds.

Where CLIP's own preprocessing (`image.convert("RGB")`) keeps what can be seen, so does this: alpha
is dropped, CMYK and palettes are converted, the first of several pictures is taken. Pixels of 16
bits and floats, which that clips, are scaled; what has no sure reading is refused by name.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from harness.datasets.dataset import DatasetError

CONVERTED = frozenset(
    {"1", "L", "P", "RGB", "RGBX", "RGBA", "RGBa", "LA", "La", "PA", "CMYK", "YCbCr", "HSV"}
)
"""Modes of Pillow's whose conversion to RGB is what the eye sees."""

_WHITE_IS_ZERO = 0
_PHOTOMETRIC, _BITS = 262, 258


def read_image(path: str | Path, oriented: bool = False) -> NDArray[np.uint8]:
    """The image file as a uint8 (H, W, 3) RGB array.

    Args:
        oriented: turn it as its EXIF orientation says.

    Raises:
        DatasetError: missing, truncated or corrupt file, or pixels that have no sure reading; the
            message names it.
    """
    try:
        with Image.open(path) as image, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            image.load()
            problem = _unsure(image)
            if not problem:
                return _rgb(image, oriented)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path}: corrupt or truncated image: {error}") from None
    raise DatasetError(f"{path}: {problem}")


def _rgb(image: Image.Image, oriented: bool) -> NDArray[np.uint8]:
    scale = 255 / _top(image)
    if oriented:
        image = ImageOps.exif_transpose(image)
    if image.mode in CONVERTED:
        return np.asarray(image.convert("RGB"))
    grey = np.asarray(image).astype(np.float64) * scale
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def _unsure(image: Image.Image) -> str:
    """Why the pixels have no sure reading as 8 bits of RGB; empty where they have one."""
    if image.mode == "F":
        return _unsure_float(image)
    if image.mode.startswith("I"):
        if image.mode == "I" and image.format not in ("PNG", "PPM"):
            return "has whole numbers of a range that is not known: save it with 8 or 16 bits"
        if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
            return "has 16 bits and 0 for white: save it with 0 for black"
        return ""
    if image.mode not in CONVERTED:
        return f"has pixels of the kind {image.mode}, which have no sure reading: save it as RGB"
    if image.has_transparency_data and _all_in_alpha(image):
        return "its picture is all in its alpha channel: save it on a background, without alpha"
    return ""


def _unsure_float(image: Image.Image) -> str:
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if np.isfinite(pixels).all() and low >= 0 and high <= 1:
        return ""
    return (
        f"has floats from {low:g} to {high:g}, expected finite ones from 0 to 1: "
        "save it with 8 or 16 bits"
    )


def _all_in_alpha(image: Image.Image) -> bool:
    whole = image.convert("RGBA")
    pixels = np.asarray(whole).reshape(-1, 4)
    *colours, alpha = (pixels.max(axis=0) != pixels.min(axis=0)).tolist()
    return bool(alpha) and not any(colours)


def _top(image: Image.Image) -> float:
    """The value of white."""
    if image.mode == "F":
        return 1.0
    bits = _tag(image, _BITS)
    return 2.0 ** (bits if isinstance(bits, int) else 16) - 1


def _tag(image: Image.Image, number: int) -> object:
    """A TIFF file's tag, the first value of several; None of other files."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) else value
