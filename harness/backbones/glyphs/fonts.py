"""Glyph masks from font files: drawing, and merging characters that look the same.

Needs matplotlib (for the fonts it carries), fontTools and Pillow; only the pre-training and the
data-generating programs import this file.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from harness.backbones.glyphs.names import glyph_name, is_candidate, is_held_out

MASK_SIZE: Final = 48
_CONTENT: Final = 44  # longest side of a glyph inside its mask, in pixels
_DRAW_SIZE: Final = 80  # font size at which glyphs are drawn before scaling

Masks = NDArray[np.uint8]


@dataclass(frozen=True)
class Face:
    """One font file and the style words that are true of it."""

    file: str
    family: str
    styles: tuple[str, ...]


def _dejavu(family: str, stem: str, slanted: str) -> tuple[Face, ...]:
    def face(suffix: str, *styles: str) -> Face:
        return Face(f"DejaVu{stem}{suffix}.ttf", family, (family, *styles))

    return (
        face("", "regular"),
        face("-Bold", "bold"),
        face(f"-{slanted}", "italic"),
        face(f"-Bold{slanted}", "bold", "italic"),
    )


TRAINING_FACES: Final = (
    *_dejavu("sans serif", "Sans", "Oblique"),
    *_dejavu("monospace", "SansMono", "Oblique"),
    *_dejavu("serif", "Serif", "Italic"),
)
UNSEEN_FACES: Final = (
    Face("STIXGeneral.ttf", "stix", ("regular",)),
    Face("STIXGeneralBol.ttf", "stix", ("bold",)),
    Face("STIXGeneralItalic.ttf", "stix", ("italic",)),
    Face("STIXGeneralBolIta.ttf", "stix", ("bold", "italic")),
    Face("cmr10.ttf", "computer modern", ("regular",)),
    Face("cmb10.ttf", "computer modern", ("bold",)),
    Face("cmss10.ttf", "computer modern", ("sans",)),
    Face("cmtt10.ttf", "computer modern", ("monospace",)),
    Face("cmti10.ttf", "computer modern", ("italic",)),
)


@dataclass(frozen=True)
class Group:
    """Characters that look the same, hence one class: their names, the bank rows that show them."""

    chars: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Bank:
    """Masks (n, 48, 48) uint8 with the face of each, grouped by look."""

    masks: Masks
    faces: tuple[Face, ...]
    groups: tuple[Group, ...]


def font_path(face: Face) -> Path:
    """Where matplotlib keeps the face's file."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face.file


@cache
def _font(face: Face) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_path(face), _DRAW_SIZE, layout_engine=ImageFont.Layout.BASIC)


@cache
def characters(face: Face) -> frozenset[str]:
    """The characters that the face draws."""
    with TTFont(font_path(face), lazy=True) as font:
        table: dict[int, Any] = font.getBestCmap() or {}
        return frozenset(chr(code) for code in table)


def draw_mask(char: str, face: Face) -> Masks | None:
    """The glyph cut to its ink and scaled, proportions kept, to (48, 48); None without ink."""
    font = _font(face)
    left, top, right, bottom = (int(value) for value in font.getbbox(char))
    canvas = Image.new("L", (max(right - left, 1) + 8, max(bottom - top, 1) + 8))
    ImageDraw.Draw(canvas).text((4 - left, 4 - top), char, fill=255, font=font)
    box = canvas.getbbox()
    if box is None:
        return None
    ink = canvas.crop(box)
    ratio = _CONTENT / max(ink.size)
    size = (max(2, round(ink.width * ratio)), max(2, round(ink.height * ratio)))
    mask = Image.new("L", (MASK_SIZE, MASK_SIZE))
    mask.paste(
        ink.resize(size, Image.Resampling.BOX if ratio < 1 else Image.Resampling.BICUBIC),
        ((MASK_SIZE - size[0]) // 2, (MASK_SIZE - size[1]) // 2),
    )
    return np.asarray(mask, dtype=np.uint8).copy()


def identical_pairs(masks: Masks, tolerance: float = 0.22) -> list[tuple[int, int]]:
    """Index pairs i < j of masks (n, 48, 48) that show the same shape.

    Same means: averaged over 3x3 blocks, no block differs by more than `tolerance` of full ink.
    """
    n = len(masks)
    coarse = (
        masks.reshape(n, 16, 3, 16, 3).mean(axis=(2, 4), dtype=np.float32).reshape(n, 256) / 255
    )
    norms = (coarse**2).sum(1)
    pairs: list[tuple[int, int]] = []
    for start in range(0, n, 512):
        block = coarse[start : start + 512]
        squared = norms[start : start + 512, None] + norms[None] - 2 * block @ coarse.T
        near_i, near_j = np.nonzero(squared < 256 * (tolerance / 2) ** 2)
        keep = near_j > near_i + start
        near_i, near_j = near_i[keep], near_j[keep]
        same = np.abs(block[near_i] - coarse[near_j]).max(1, initial=0) <= tolerance
        pairs += [(int(i) + start, int(j)) for i, j in zip(near_i[same], near_j[same], strict=True)]
    return pairs


def _regular_masks(family: str) -> dict[str, Masks]:
    face = next(f for f in TRAINING_FACES if f.family == family and "regular" in f.styles)
    drawn = (
        (char, draw_mask(char, face)) for char in sorted(characters(face)) if is_candidate(char)
    )
    return {char: mask for char, mask in drawn if mask is not None}


@dataclass(frozen=True)
class Looks:
    """Characters that share a look: `same` in every family that draws both, `sometimes` in one."""

    chars: tuple[str, ...]
    same: dict[str, str]
    sometimes: dict[tuple[str, str], frozenset[str]]


@cache
def looks() -> Looks:
    """Compare all candidate characters in the regular faces of the three training families."""
    families = ("sans serif", "monospace", "serif")
    drawn = {family: _regular_masks(family) for family in families}
    alike: dict[tuple[str, str], set[str]] = defaultdict(set)
    for family, masks in drawn.items():
        chars = list(masks)
        for i, j in identical_pairs(np.stack(list(masks.values()))):
            alike[chars[i], chars[j]].add(family)
    everything = tuple(sorted({char for masks in drawn.values() for char in masks}))
    parent = {char: char for char in everything}

    def root(char: str) -> str:
        while parent[char] != char:
            char = parent[char]
        return char

    sometimes: dict[tuple[str, str], frozenset[str]] = {}
    for (a, b), where in sorted(alike.items()):
        shared = {family for family in families if a in drawn[family] and b in drawn[family]}
        first, second = sorted((root(a), root(b)))
        if where == shared and not _both_plain(first, second):
            parent[second] = first
        else:
            sometimes[a, b] = frozenset(where)
    return Looks(everything, {char: root(char) for char in everything}, sometimes)


def _both_plain(a: str, b: str) -> bool:
    """Whether a and b are different ASCII letters or digits, which are never merged (I and l)."""
    return a != b and a.isascii() and b.isascii() and a.isalnum() and b.isalnum()


def look_alikes(char: str) -> frozenset[str]:
    """Every other character that looks like `char` in at least one training family."""
    found = looks()
    group = found.same.get(char)
    same = {other for other in found.chars if found.same[other] == group and other != char}
    for a, b in found.sometimes:
        if char in (a, b):
            same.add(b if a == char else a)
    return frozenset(same)


def _clashes() -> dict[str, set[str]]:
    """Per group root, the families in which a character of another group looks the same."""
    found = looks()
    clashes: dict[str, set[str]] = defaultdict(set)
    for (a, b), families in found.sometimes.items():
        if found.same[a] != found.same[b]:
            clashes[found.same[a]] |= families
            clashes[found.same[b]] |= families
    return clashes


def training_groups() -> list[tuple[str, ...]]:
    """Characters to learn, grouped by look; groups with a held-out character are left out."""
    found = looks()
    members: dict[str, list[str]] = defaultdict(list)
    for char in found.chars:
        members[found.same[char]].append(char)
    held_out = {found.same[char] for char in found.chars if is_held_out(char)}
    keep_anyway = {root for root in held_out if ord(root) < 0x250}
    return [
        tuple(char for char in chars if not is_held_out(char))
        for root, chars in sorted(members.items())
        if root not in held_out - keep_anyway
    ]


def build_bank(faces: Iterable[Face] = TRAINING_FACES, max_names: int = 4) -> Bank:
    """Draw every training group in every face in which it is unmistakable. Takes about a minute."""
    clashes, found = _clashes(), looks()
    masks: list[Masks] = []
    row_faces: list[Face] = []
    groups: list[Group] = []
    all_faces = tuple(faces)
    for chars in training_groups():
        lead = chars[0]
        avoid = clashes.get(found.same[lead], set())
        if lead.isascii() and lead.isalnum():
            avoid = avoid & {"sans serif"}
        rows: list[int] = []
        for face in all_faces:
            mask = (
                draw_mask(lead, face)
                if lead in characters(face) and face.family not in avoid
                else None
            )
            if mask is not None:
                rows.append(len(masks))
                masks.append(mask)
                row_faces.append(face)
        if rows:
            names = tuple(glyph_name(char) for char in chars[:max_names])
            groups.append(Group(chars, names, tuple(rows)))
    return Bank(np.stack(masks), tuple(row_faces), tuple(groups))


def masks_of(chars: Sequence[str], faces: Sequence[Face]) -> dict[str, Masks]:
    """Masks (faces that draw it, 48, 48) of each character, in the order of `faces`."""
    found: dict[str, Masks] = {}
    for char in chars:
        drawn = [draw_mask(char, face) for face in faces if char in characters(face)]
        found[char] = np.stack([mask for mask in drawn if mask is not None])
    return found
