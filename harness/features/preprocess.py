"""Images into tensors: test-time preprocessing, training-time augmentation.

Both resize with Pillow's antialiased bicubic filter, so that numbers compare with CLIP's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from harness.features.augment import AugmentSpec

TRIES = 10
"""Crops tried per image before the largest centred one is taken (as torchvision does)."""


def preprocess(
    image: NDArray[np.uint8], size: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """The test-time view: shorter side to `size` (bicubic), centre crop, normalise.

    Never squashes. An image that is already size × size keeps its pixels.

    Args:
        image: uint8 (H, W, 3).
        mean, std: per channel, for pixels in [0, 1].

    Returns:
        (3, size, size) float32.
    """
    height, width = image.shape[:2]
    if min(height, width) != size:
        # The longer side is cut off to an integer, as torchvision's Resize does.
        longer = int(size * max(height, width) / min(height, width))
        new = (size, longer) if width <= height else (longer, size)
        image = np.asarray(Image.fromarray(image).resize(new, Image.Resampling.BICUBIC))
        height, width = image.shape[:2]
    top, left = round((height - size) / 2), round((width - size) / 2)
    crop = image[top : top + size, left : left + size].copy()  # never a read-only view
    return _normalise(torch.from_numpy(crop).permute(2, 0, 1).float(), mean, std)


def augment(
    images: Tensor | Sequence[NDArray[np.uint8]],
    generator: torch.Generator,
    spec: AugmentSpec = AugmentSpec(),  # noqa: B008 (frozen)
    *,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Random views of images: RandomResizedCrop (bicubic), horizontal flip, normalise.

    All randomness comes from `generator` (on the CPU); the numbers of the image at position b do
    not depend on the other images' content. A batch of equal sizes is done in one go.

    Args:
        images: uint8 (B, 3, H, W), or B arrays (H, W, 3) of any sizes.

    Returns:
        (B, 3, size, size) float32, on the device of `images`.
    """
    if not isinstance(images, Tensor):
        if len({image.shape for image in images}) == 1:
            images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        else:
            return _augment_each(images, generator, spec, size, mean, std)
    shapes = torch.tensor([images.shape[2:]]).expand(len(images), 2)
    boxes, flips = random_crops(shapes, generator, spec)
    return _normalise(crop_resize(images, boxes, flips, size), mean, std)


def random_crops(
    shapes: Tensor, generator: torch.Generator, spec: AugmentSpec
) -> tuple[Tensor, Tensor]:
    """Crop boxes and flips for images of the given sizes.

    Area is uniform in `spec.scale`, log aspect ratio uniform in `spec.ratio`; the first of ten
    tries that fits is taken, else the largest centred crop of an allowed ratio.

    Args:
        shapes: (B, 2) int64 heights and widths.

    Returns:
        (B, 4) int64 boxes (top, left, height, width), and (B,) bool flips.
    """
    count = len(shapes)
    random = torch.rand(count, 2 * TRIES + 3, generator=generator, dtype=torch.float64)
    tall, wide = shapes[:, :1].double(), shapes[:, 1:].double()
    area = tall * wide * (spec.scale[0] + (spec.scale[1] - spec.scale[0]) * random[:, :TRIES])
    low, high = np.log(spec.ratio[0]), np.log(spec.ratio[1])
    ratio = torch.exp(low + (high - low) * random[:, TRIES : 2 * TRIES])
    heights, widths = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (heights >= 1) & (widths >= 1) & (heights <= tall) & (widths <= wide)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    # Where none fits: the whole image, its longer side cut to the nearest allowed ratio.
    whole_w = torch.minimum(wide, (tall * spec.ratio[1]).round())
    whole_h = torch.minimum(tall, (wide / spec.ratio[0]).round())
    none = ~fits.any(1, keepdim=True)
    height = torch.where(none, whole_h, heights.gather(1, first))
    width = torch.where(none, whole_w, widths.gather(1, first))
    at = random[:, 2 * TRIES : 2 * TRIES + 2]
    top = torch.where(none, (tall - height) / 2, at[:, :1] * (tall - height + 1)).floor()
    left = torch.where(none, (wide - width) / 2, at[:, 1:] * (wide - width + 1)).floor()
    boxes = torch.cat([top, left, height, width], dim=1).long()
    flips = random[:, -1] < 0.5 if spec.flip else torch.zeros(count, dtype=torch.bool)
    return boxes, flips


def crop_resize(images: Tensor, boxes: Tensor, flips: Tensor, size: int) -> Tensor:
    """Cut each box out and resize it to size × size: Pillow's bicubic filter as matrix products.

    Args:
        images: uint8 (B, 3, H, W).
        boxes: (B, 4) int64 top, left, height, width.
        flips: (B,) bool, mirror left and right.

    Returns:
        (B, 3, size, size) float32 whole numbers in 0 … 255.
    """
    count, channels, height, width = images.shape
    boxes = boxes.to(images.device)
    rows = resize_weights(boxes[:, 0], boxes[:, 2], height, size)
    columns = resize_weights(boxes[:, 1], boxes[:, 3], width, size)
    columns = torch.where(flips.to(images.device)[:, None, None], columns.flip(1), columns)
    flat = images.float().reshape(count, channels * height, width)
    # Pillow resizes horizontally first and rounds to whole grey levels after either pass.
    across = (flat @ columns.mT).round_().clamp_(0, 255)
    across = across.view(count, channels, height, size)
    return (rows[:, None] @ across).round_().clamp_(0, 255)


def resize_weights(start: Tensor, length: Tensor, pixels: int, size: int) -> Tensor:
    """(B, size, pixels) weights that resize the interval [start, start + length) to `size`.

    The cubic kernel with a = -1/2, widened by the scale where it shrinks (antialiasing), cut off
    at the interval's ends and normalised: Pillow's `BICUBIC`.
    """
    device = start.device
    scale = (length / size)[:, None, None]
    out = torch.arange(size, device=device)[None, :, None] + 0.5
    pixel = torch.arange(pixels, device=device)[None, None, :]
    begin, end = start[:, None, None], (start + length)[:, None, None]
    x = ((pixel + 0.5 - begin - out * scale) / scale.clamp(min=1)).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    weights = torch.where((pixel >= begin) & (pixel < end), weights, 0.0)
    return weights / weights.sum(-1, keepdim=True)


def _augment_each(
    images: Sequence[NDArray[np.uint8]],
    generator: torch.Generator,
    spec: AugmentSpec,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    shapes = torch.tensor([image.shape[:2] for image in images])
    boxes, flips = random_crops(shapes, generator, spec)
    views = []
    for image, box, flip in zip(images, boxes, flips, strict=True):
        top, left, height, width = box.tolist()
        crop = Image.fromarray(image[top : top + height, left : left + width])
        view = np.array(crop.resize((size, size), Image.Resampling.BICUBIC))
        views.append(view[:, ::-1].copy() if flip else view)
    return _normalise(torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float(), mean, std)


def _normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(…, 3, H, W) from 0 … 255 to zero mean and unit deviation."""
    centre = torch.tensor(mean, device=images.device).view(3, 1, 1) * 255
    spread = torch.tensor(std, device=images.device).view(3, 1, 1) * 255
    return ((images - centre) / spread).contiguous()
