"""Image files into pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.datasets.dataset import DatasetError


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """The image file as a uint8 (H, W, 3) RGB array.

    Raises:
        DatasetError: missing, truncated or corrupt file; the message names it.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path}: corrupt or truncated image: {error}") from None
