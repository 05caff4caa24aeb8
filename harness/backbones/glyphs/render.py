"""Batched rendering of glyph masks into small colour images, reproducible from a seed."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

IMAGE_SIZE: Final = 32
_CONTENT_SHARE: Final = 44 / 48  # share of the mask's side that the glyph's longest side fills

NAMED_COLOURS: Final[dict[str, tuple[float, float, float]]] = {
    "black": (0.06, 0.06, 0.06),
    "white": (0.95, 0.95, 0.95),
    "grey": (0.5, 0.5, 0.5),
    "red": (0.85, 0.1, 0.1),
    "green": (0.1, 0.6, 0.15),
    "blue": (0.1, 0.2, 0.85),
    "yellow": (0.95, 0.88, 0.1),
    "orange": (0.98, 0.55, 0.05),
    "purple": (0.5, 0.1, 0.6),
    "pink": (0.98, 0.6, 0.75),
    "brown": (0.45, 0.26, 0.1),
    "cyan": (0.1, 0.85, 0.9),
}


@dataclass(frozen=True)
class Distortion:
    """Ranges of the random changes; every value is drawn anew per image.

    Angles in degrees, lengths as shares of the image's side, `stroke` in thickening steps
    (negative thins), probabilities in [0, 1], `noise` as the largest standard deviation.
    """

    rotation: float = 20.0
    shear: float = 0.25
    log_aspect: float = 0.3
    scale: tuple[float, float] = (0.5, 0.95)
    translation: float = 0.1
    elastic: float = 0.09
    stroke: tuple[float, float] = (-0.6, 1.4)
    blur: float = 0.35
    pixelate: float = 0.25
    gradient: float = 0.25
    noise: float = 0.07

    def scaled(self, strength: float) -> "Distortion":
        """Every range shrunk towards no change: 1 is this one, 0 draws glyphs plainly."""
        return Distortion(
            rotation=self.rotation * strength,
            shear=self.shear * strength,
            log_aspect=self.log_aspect * strength,
            scale=(0.8 + (self.scale[0] - 0.8) * strength, self.scale[1]),
            translation=self.translation * strength,
            elastic=self.elastic * strength,
            stroke=(self.stroke[0] * strength, self.stroke[1] * strength),
            blur=self.blur * strength,
            pixelate=self.pixelate * strength,
            gradient=self.gradient * strength,
            noise=self.noise * strength,
        )


@dataclass(frozen=True)
class Look:
    """What a caption states of each image: colours (n, 3), NaN for "any"; flags (n,) bool."""

    foreground: Tensor
    background: Tensor
    blurry: Tensor
    pixelated: Tensor

    @staticmethod
    def free(n: int) -> "Look":
        """No wishes."""
        anything = torch.full((n, 3), torch.nan)
        return Look(anything, anything.clone(), torch.zeros(n).bool(), torch.zeros(n).bool())


def generator_for(*address: int) -> torch.Generator:
    """A CPU generator addressed by integers, such as (seed, step)."""
    state = 0x9E3779B97F4A7C15
    for part in address:
        state = ((state ^ (part + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9) % (1 << 63)
        state ^= state >> 29
    return torch.Generator().manual_seed(state)


def _change_strokes(masks: Tensor, amount: Tensor) -> Tensor:
    """Thin (amount < 0) or thicken masks (n, 1, s, s)."""
    a = amount[:, None, None, None]
    thin = -F.max_pool2d(-masks, 3, 1, 1)
    thick = F.max_pool2d(masks, 3, 1, 1)
    thicker = F.max_pool2d(thick, 3, 1, 1)
    thickened = masks + a.clamp(0, 1) * (thick - masks) + (a - 1).clamp(0, 1) * (thicker - thick)
    return thickened + (-a).clamp(0, 1) * (thin - masks)


def _smooth(images: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Separable blur of (n, 1, h, w) with odd `taps`; edges repeat."""
    reach = len(taps) // 2
    padded = F.pad(images, (reach, reach, reach, reach), "replicate")
    height, width = images.shape[-2:]
    weights = [tap / sum(taps) for tap in taps]
    rows = torch.as_tensor(sum(w * padded[..., i : i + width] for i, w in enumerate(weights)))
    return torch.as_tensor(sum(w * rows[..., i : i + height, :] for i, w in enumerate(weights)))


def _sampling_grid(n: int, d: Distortion, g: torch.Generator) -> Tensor:
    """Grid (n, 32, 32, 2) that rotates, shears, stretches, moves and bends the mask."""
    u = torch.rand(n, 7, generator=g) * 2 - 1
    angle, shear = torch.deg2rad(d.rotation * u[:, 0]), d.shear * u[:, 1]
    low, high = d.scale
    size = low + (high - low) * (u[:, 2] + 1) / 2
    stretch = torch.exp(d.log_aspect * u[:, 3] / 2)
    wide, tall = size * stretch / _CONTENT_SHARE, size / stretch / _CONTENT_SHARE
    cos, sin = torch.cos(angle), torch.sin(angle)
    # mask -> image is Rotation @ Shear @ Stretch; grid_sample wants its inverse.
    inverse = torch.stack(
        [
            torch.stack([(cos + shear * sin) / wide, (sin - shear * cos) / wide], -1),
            torch.stack([-sin / tall, cos / tall], -1),
        ],
        1,
    )
    offset = 2 * d.translation * u[:, 4:6]
    theta = torch.cat([inverse, -(inverse @ offset[:, :, None])], 2)
    grid = F.affine_grid(theta, [n, 1, IMAGE_SIZE, IMAGE_SIZE], align_corners=False)
    coarse = torch.randn(n, 2, 4, 4, generator=g) * (d.elastic * (u[:, 6] + 1) / 2).view(n, 1, 1, 1)
    bend = F.interpolate(coarse, size=IMAGE_SIZE, mode="bicubic", align_corners=False)
    return grid + bend.permute(0, 2, 3, 1)


def _pixelate(ink: Tensor, resolution: Tensor) -> Tensor:
    """Down to `resolution` pixels a side and up again, for those images where it is above 0."""
    result = ink.clone()
    for side in (8, 12, 16):
        chosen = torch.nonzero(resolution == side)[:, 0]
        if len(chosen):
            small = F.interpolate(ink[chosen], size=side, mode="area")
            result[chosen] = F.interpolate(
                small, size=IMAGE_SIZE, mode="bilinear", align_corners=False
            )
    return result


def _colours(n: int, look: Look, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Foreground and background (n, 3): as wished, else random, a third of them black and white."""
    u = torch.rand(n, 8, generator=g)
    front = u[:, :3]
    back = (front + 0.35 + 0.3 * u[:, 3:6]) % 1
    plain = (u[:, 6] < 0.33)[:, None]
    dark, light = 0.15 * u[:, :1].expand(n, 3), 1 - 0.15 * u[:, 3:4].expand(n, 3)
    white_on_black = (u[:, 7] < 0.5)[:, None]
    front = torch.where(plain, torch.where(white_on_black, light, dark), front)
    back = torch.where(plain, torch.where(white_on_black, dark, light), back)
    wished_front, wished_back = ~look.foreground.isnan(), ~look.background.isnan()
    # A wished colour beside a free one: the free one keeps its distance.
    back = torch.where(
        wished_front & ~wished_back, (look.foreground + 0.35 + 0.3 * u[:, 3:6]) % 1, back
    )
    front = torch.where(
        wished_back & ~wished_front, (look.background + 0.35 + 0.3 * u[:, 3:6]) % 1, front
    )
    jitter = 0.05 * torch.randn(n, 6, generator=g)
    front = torch.where(wished_front, look.foreground + jitter[:, :3], front)
    back = torch.where(wished_back, look.background + jitter[:, 3:], back)
    return front, back


def render(
    masks: Tensor,
    distortion: Distortion,
    generator: torch.Generator,
    look: Look | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Images (n, 3, 32, 32) float in [0, 1] of masks (n, 48, 48) uint8.

    All random numbers come from the CPU `generator`, so the images do not depend on the device
    beyond float rounding.
    """
    n, d = len(masks), distortion
    wishes = look or Look.free(n)
    u = torch.rand(n, 6, generator=generator)
    low, high = d.stroke
    stroke = low + (high - low) * u[:, 0]
    blur = torch.where(u[:, 1] < d.blur, u[:, 2], torch.zeros(n))
    blur = torch.where(wishes.blurry, 0.8 + 0.2 * u[:, 2], blur)
    sides = torch.tensor([8, 12, 16])[(u[:, 3] * 3).long().clamp(max=2)]
    pixelated = wishes.pixelated | (u[:, 4] < d.pixelate)
    resolution = torch.where(pixelated, sides, torch.zeros_like(sides))
    grid = _sampling_grid(n, d, generator)
    front, back = _colours(n, wishes, generator)
    slope = d.gradient * (torch.rand(n, 3, 2, generator=generator) * 2 - 1)
    grain = torch.randn(n, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator)
    grain = grain * (d.noise * u[:, 5]).view(n, 1, 1, 1)

    ink = masks.to(device).float()[:, None] / 255
    ink = _smooth(_change_strokes(ink, stroke.to(device)), (1.0, 2.0, 1.0))
    ink = F.grid_sample(ink, grid.to(device), mode="bilinear", align_corners=False)
    soft = _smooth(ink, (1.0, 4.0, 6.0, 4.0, 1.0))
    ink = ink + 1.4 * blur.to(device).view(n, 1, 1, 1) * (_smooth(soft, (1.0, 2.0, 1.0)) - ink)
    ink = _pixelate(ink, resolution.to(device)).clamp(0, 1)
    axis = torch.linspace(-0.5, 0.5, IMAGE_SIZE, device=device)
    slope = slope.to(device)
    ground = back.to(device)[:, :, None, None]
    ground = ground + slope[:, :, :1, None] * axis.view(1, 1, -1, 1) + slope[:, :, 1:, None] * axis
    image = ground + ink * (front.to(device)[:, :, None, None] - ground)
    return (image + grain.to(device)).clamp(0, 1)
