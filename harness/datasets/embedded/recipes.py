"""What each embedded data set shows: classes, fonts, distortion, template."""

import unicodedata
from dataclasses import dataclass, field
from random import Random
from typing import Final

from harness.backbones.glyphs.fonts import TRAINING_FACES, UNSEEN_FACES, Bank, Face
from harness.backbones.glyphs.names import glyph_name
from harness.backbones.glyphs.render import Distortion

_DEJAVU: Final = "glyphs drawn from the DejaVu fonts carried by matplotlib"
_UNSEEN: Final = "glyphs drawn from the STIX and Computer Modern fonts carried by matplotlib"
_FREE: Final = "rendered images, Apache-2.0 as this project; fonts under their own free licences"


AUGMENT: Final = {"scale": [0.8, 1.0], "ratio": [0.9, 1.1], "flip": False}
"""Glyphs fill their 32 × 32 pixels and read left to right: crops are mild and never mirrored."""


@dataclass(frozen=True)
class Recipe:
    """One rendered data set: class i shows `chars[i]`; `splits` gives images per class."""

    name: str
    chars: tuple[str, ...]
    faces: tuple[Face, ...]
    distortion: Distortion
    description: str
    source: str
    template: str = "a photo of a {}."
    licence: str = _FREE
    splits: dict[str, int] = field(default_factory=lambda: {"train": 24, "val": 4, "test": 20})

    @property
    def class_names(self) -> list[str]:
        """Unicode names, lower case, in label order."""
        return [glyph_name(char) for char in self.chars]


MEDIUM: Final = Distortion(
    rotation=20, shear=0.25, log_aspect=0.3, scale=(0.55, 0.95), translation=0.08, elastic=0.08,
    stroke=(-0.5, 1.2), blur=0.35, pixelate=0.25, gradient=0.2, noise=0.04,
)  # fmt: skip
HARD: Final = Distortion(
    rotation=28, shear=0.32, log_aspect=0.4, scale=(0.5, 0.95), translation=0.1, elastic=0.11,
    stroke=(-0.6, 1.6), blur=0.5, pixelate=0.4, gradient=0.25, noise=0.045,
)  # fmt: skip
HEAVY: Final = Distortion(
    rotation=35, shear=0.4, log_aspect=0.5, scale=(0.45, 0.95), translation=0.12, elastic=0.13,
    stroke=(-0.6, 2.0), blur=0.6, pixelate=0.5, gradient=0.3, noise=0.05,
)  # fmt: skip
CARD: Final = Distortion(
    rotation=6, shear=0.05, log_aspect=0.15, scale=(0.88, 0.98), translation=0.02, elastic=0.02,
    stroke=(-0.3, 0.2), blur=0.1, pixelate=0.0, gradient=0.1, noise=0.02,
)  # fmt: skip

_CARD_RANKS: Final = ("ACE", "TWO", "FOUR", "SEVEN", "TEN", "KING")
_CARD_SUITS: Final = ("SPADES", "HEARTS", "DIAMONDS", "CLUBS")

RECIPES: Final = (
    Recipe(
        "letters",
        tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        UNSEEN_FACES,
        HEAVY,
        "Latin capital letters, known to the backbone, in unseen fonts under heavy distortion",
        _UNSEEN,
    ),
    Recipe(
        "greek",
        tuple("αβγδεζηθικλμνξοπρστυφχψω"),
        tuple(face for face in UNSEEN_FACES if face.family == "stix"),
        HARD,
        "Greek small letters, known to the backbone, in unseen fonts under hard distortion",
        _UNSEEN,
    ),
    Recipe(
        "georgian",
        tuple("აბგდეზთილმოჟრსტუფქღყშცხჰ"),
        TRAINING_FACES,
        MEDIUM,
        "Georgian letters: neither glyphs nor names were in the pre-training",
        _DEJAVU,
    ),
    Recipe(
        "cards",
        tuple(
            unicodedata.lookup(f"PLAYING CARD {rank} OF {suit}")
            for suit in _CARD_SUITS
            for rank in _CARD_RANKS
        ),
        TRAINING_FACES,
        CARD,
        "Playing cards, six ranks of four suits: fine detail that was not in the pre-training",
        _DEJAVU,
    ),
)


def retention_recipe(bank: Bank, classes: int = 120, per_family: int = 10) -> Recipe:
    """`glyph_names`: fresh renderings of pre-training glyphs, at most `per_family` of one script.

    Digits, plain Latin and plain Greek letters are left out: other data sets show them.
    """
    groups = [
        g for g in bank.groups if not any(c.isascii() or 0x370 <= ord(c) < 0x400 for c in g.chars)
    ]
    Random(120).shuffle(groups)
    taken: dict[str, int] = {}
    chars: list[str] = []
    for group in groups:
        family = group.names[0].split()[0]
        if taken.get(family, 0) < per_family and len(chars) < classes:
            taken[family] = taken.get(family, 0) + 1
            chars.append(group.chars[0])
    return Recipe(
        "glyph_names",
        tuple(chars),
        TRAINING_FACES,
        MEDIUM,
        "Retention set: held-out renderings of glyphs and names from the pre-training",
        _DEJAVU,
        splits={"test": 8},
    )
