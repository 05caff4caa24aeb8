"""Preprocessing and augmentation against Pillow and torchvision; corrupt files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from harness.datasets import DatasetError
from harness.datasets.read_image import read_image
from harness.features.augment import AugmentSpec
from harness.features.preprocess import augment, crop_resize, preprocess, random_crops

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
"""Keeps pixels in 0 … 255."""


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("height", "width"), [(50, 77), (77, 50), (20, 31), (32, 40), (33, 33)])
def test_preprocess_is_clips_resize_and_centre_crop(height: int, width: int) -> None:
    image = picture(height, width)
    resize = Resize(32, interpolation=InterpolationMode.BICUBIC)
    expected = np.asarray(CenterCrop(32)(resize(Image.fromarray(image))))
    ours = preprocess(image, 32, **PLAIN).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_preprocess_leaves_an_image_of_the_right_size_and_normalises() -> None:
    image = picture(32, 32)
    ours = preprocess(image, 32, MEAN, STD)
    expected = (image / 255 - np.array(MEAN)) / np.array(STD)
    assert ours.shape == (3, 32, 32) and ours.dtype == torch.float32 and ours.is_contiguous()
    np.testing.assert_allclose(ours.permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_preprocess_never_squashes() -> None:
    image = np.zeros((32, 96, 3), np.uint8)
    image[:, 32:64] = 255  # only the middle third survives the crop
    assert preprocess(image, 32, **PLAIN).min() == 255


@pytest.mark.parametrize("size", [16, 32, 48])
def test_crop_resize_is_pillows_bicubic_but_for_rounding(size: int) -> None:
    images = np.stack([picture(40, 36, seed) for seed in range(6)])
    boxes = torch.tensor(
        [
            [0, 0, 40, 36],
            [3, 5, 11, 9],
            [20, 1, 20, 35],
            [39, 35, 1, 1],
            [8, 8, 16, 16],
            [0, 2, 7, 30],
        ]
    )
    flips = torch.tensor([False, True, False, True, False, True])
    ours = crop_resize(torch.from_numpy(images).permute(0, 3, 1, 2), boxes, flips, size)
    for image, (top, left, height, width), flip, view in zip(
        images, boxes.tolist(), flips.tolist(), ours, strict=True
    ):
        crop = Image.fromarray(image[top : top + height, left : left + width])
        expected = np.asarray(crop.resize((size, size), Image.Resampling.BICUBIC))
        expected = expected[:, ::-1] if flip else expected
        difference = np.abs(view.permute(1, 2, 0).numpy() - expected)
        assert difference.max() <= 2 and (difference > 0).mean() < 0.01


def test_crops_lie_inside_and_cover_the_scale_uniformly() -> None:
    shapes = torch.tensor([[120, 120]]).expand(4000, 2)
    boxes, flips = random_crops(shapes, generator(), AugmentSpec())
    top, left, height, width = boxes.double().unbind(1)
    assert (boxes >= 0).all() and (top + height <= 120).all() and (left + width <= 120).all()
    area = height * width / 120**2
    assert 0.07 < area.min() < 0.1 and 0.95 < area.max() <= 1
    ratio = width / height
    assert 0.7 < ratio.min() < 0.78 and 1.28 < ratio.max() < 1.4
    assert abs(flips.double().mean() - 0.5) < 0.04
    # Small crops lie anywhere: their mean centre is the image's.
    small = area < 0.3
    assert abs((left + width / 2)[small].mean() - 60) < 3


def test_full_scale_without_flip_is_the_plain_view() -> None:
    images = np.stack([picture(32, 32, seed) for seed in range(4)])
    spec = AugmentSpec(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=False)
    views = augment(list(images), generator(), spec, size=32, mean=MEAN, std=STD)
    plain = torch.stack([preprocess(image, 32, MEAN, STD) for image in images])
    torch.testing.assert_close(views, plain)


def test_a_very_long_image_falls_back_to_a_centred_crop() -> None:
    boxes, _ = random_crops(
        torch.tensor([[10, 400], [400, 10]]), generator(), AugmentSpec(scale=(0.9, 1.0))
    )
    assert boxes.tolist() == [[0, 193, 10, 13], [193, 0, 13, 10]]


def test_randomness_comes_only_from_the_generator() -> None:
    images = [picture(32, 32, seed) for seed in range(8)]
    torch.manual_seed(0)
    one = augment(images, generator(5), size=32, mean=MEAN, std=STD)
    before = torch.get_rng_state()
    torch.manual_seed(1)
    two = augment(images, generator(5), size=32, mean=MEAN, std=STD)
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, two)
    assert not torch.equal(one, augment(images, generator(6), size=32, mean=MEAN, std=STD))


def test_an_images_view_does_not_depend_on_the_rest_of_the_batch() -> None:
    images = [picture(32, 32, seed) for seed in range(8)]
    whole = augment(images, generator(5), size=32, **PLAIN)
    part = augment(images[:3], generator(5), size=32, **PLAIN)
    torch.testing.assert_close(whole[:3], part)
    mixed = augment([*images[:3], picture(50, 40)], generator(5), size=32, **PLAIN)
    assert (mixed[:3] - part).abs().max() < 1.01  # Pillow's fixed-point rounding
    tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    assert torch.equal(augment(tensor, generator(5), size=32, **PLAIN), whole)


def test_augment_spec_refuses_nonsense() -> None:
    assert AugmentSpec.model_validate({"scale": [0.5, 1]}).scale == (0.5, 1.0)
    for wrong in ({"scale": [0.5, 2]}, {"scale": [0, 1]}, {"ratio": [2, 1]}, {"flips": True}):
        with pytest.raises(ValidationError):
            AugmentSpec.model_validate(wrong)


def test_images_are_read_as_rgb(tmp_path: Path) -> None:
    Image.fromarray(picture(8, 9)[..., 0]).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").shape == (8, 9, 3)


def test_corrupt_images_are_named(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    Image.fromarray(picture(64, 64)).save(whole)
    cut.write_bytes(whole.read_bytes()[:1500])
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    text = tmp_path / "text.png"
    text.write_text("not an image")
    for path in (cut, empty, text):
        with pytest.raises(DatasetError, match=f"{path.name}: corrupt or truncated"):
            read_image(path)
    with pytest.raises(DatasetError, match=r"absent.png: no such image"):
        read_image(tmp_path / "absent.png")
