"""Every kind of pixels is read as the eye sees it, or refused by name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets.dataset import DatasetError
from harness.datasets.read_image import read_image

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
RGB = np.stack([GREY, GREY.T, 255 - GREY], axis=2)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("8.png", GREY),
        ("16.png", GREY.astype(np.uint16) * 257),
        ("16.tif", GREY.astype(np.uint16) * 257),
        ("float.tif", (GREY / 255).astype(np.float32)),
    ],
)
def test_one_picture_in_8_bits_16_bits_and_floats(
    tmp_path: Path, name: str, pixels: np.ndarray
) -> None:
    Image.fromarray(pixels).save(tmp_path / name)
    assert (read_image(tmp_path / name) == GREY[..., None]).all()


def test_16_bits_of_a_grey_map(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([255, 255, 0, 0]))
    assert read_image(tmp_path / "a.pgm")[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "CMYK", "YCbCr", "1"])
def test_what_clips_preprocessing_reads_is_read_as_it_does(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.fromarray(RGB).convert(mode).save(path)
    with Image.open(path) as opened:
        assert (read_image(path) == np.asarray(opened.convert("RGB"))).all()


def test_gif_and_the_first_of_several_pictures(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_image(tmp_path / "a.gif") == 10).all()


def _alpha(mode: str) -> Image.Image:
    clear = Image.new("RGB" if mode == "RGBA" else "L", (16, 16))
    whole = clear.convert(mode)
    whole.putalpha(Image.fromarray(GREY))
    return whole


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("rgba.png", _alpha("RGBA"), "its picture is all in its alpha channel"),
        ("la.png", _alpha("LA"), "its picture is all in its alpha channel"),
        ("f.tif", Image.fromarray(GREY.astype(np.float32)), "floats from 0 to 255, expected"),
        ("nan.tif", Image.fromarray(np.full((2, 2), np.nan, np.float32)), "expected finite ones"),
        ("i.tif", Image.fromarray(GREY.astype(np.int32)), "a range that is not known"),
        ("lab.tif", Image.fromarray(RGB).convert("RGB"), ""),
    ],
)
def test_what_has_no_sure_reading_is_refused_by_name(
    tmp_path: Path, name: str, image: Image.Image, message: str
) -> None:
    if name == "lab.tif":
        image, message = Image.frombytes("LAB", (16, 16), RGB.tobytes()), "of the kind LAB"
    image.save(tmp_path / name)
    with pytest.raises(DatasetError, match=message) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_plain_picture_with_alpha_is_read_though_it_is_of_one_colour(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 9).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied_where_it_is_asked_for(
    tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = RGB[:8]
    undo = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: np.rot90(x),
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
        8: lambda x: np.rot90(x, -1),
    }
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(
        tmp_path / "a.png", exif=exif
    )
    assert (read_image(tmp_path / "a.png", oriented=True) == upright).all()
    assert (read_image(tmp_path / "a.png") == undo[orientation](upright)).all()
