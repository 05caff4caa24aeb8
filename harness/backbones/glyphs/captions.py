"""CLIP-like captions that are true of the images drawn for them."""

from dataclasses import dataclass
from random import Random
from typing import Final

from harness.backbones.glyphs.names import synonyms
from harness.backbones.glyphs.render import NAMED_COLOURS

PLAIN: Final = (
    "a photo of a {}.",
    "a photo of a {}.",
    "a photo of a {}.",
    "{}",
    "{}.",
    "a {}.",
    "the {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a picture of a {}.",
    "an image of a {}.",
    "a drawing of a {}.",
    "a sketch of the {}.",
    "a rendering of a {}.",
    "a good photo of a {}.",
    "a bad photo of the {}.",
    "a close-up photo of a {}.",
    "a cropped photo of the {}.",
    "itap of a {}.",
    "a symbol: {}.",
    "a scan of a {}.",
    "a printed {}.",
    "a photo of a {}, a type of symbol.",
    "a photo of a {}, a type of glyph.",
    "this is a photo of a single character on a plain background, and its name is {}.",
    "somebody took a small picture of a sign on which one could read one character, a {}.",
    "in this picture there is one symbol and nothing else at all, and the symbol is called {}.",
)
COLOURED: Final = (
    "a {fg} {} on a {bg} background.",
    "a photo of a {fg} {} on a {bg} background.",
    "a {} in {fg} on {bg}.",
    "a {fg} {} printed on {bg} paper.",
    "a photo of a {fg} {}.",
)
STYLED: Final = (
    "a {style} {}.",
    "a photo of a {style} {}.",
    "a {} in a {style} font.",
    "a {style} {}, drawn in {fg} on a {bg} background, in a small and slightly noisy picture.",
)
BLURRY: Final = ("a blurry photo of a {}.", "a blurry picture of the {}.", "a blurry {}.")
PIXELATED: Final = ("a pixelated photo of a {}.", "a low resolution photo of the {}.")
OTHER_TEXTS: Final = (
    "a photo of a {}, a type of pet flower aircraft food letter digit card.",
    "{} texture. a centered satellite photo of {}. a photo of a person doing {}.",
    "a photo of many {}. a photo of the hard to see {}. a photo of my {}. a photo of the large {}.",
    "a photo of the small {}. a {} in a video game. art of the {}. itap of a {}. a origami {}.",
    "a bright dark clean dirty cool nice weird black and white photo of the {}.",
    "a painting sculpture tattoo doodle embroidered plastic jpeg corrupted graffiti of the {}.",
)


@dataclass(frozen=True)
class Caption:
    """A text and what it claims: a style word, colours by name, blur, coarse pixels."""

    text: str
    style: str | None = None
    foreground: str | None = None
    background: str | None = None
    blurry: bool = False
    pixelated: bool = False


def write_caption(name: str, styles: tuple[str, ...], rng: Random) -> Caption:
    """A random caption for `name`; `styles` are the style words that some face can keep."""
    said = rng.choice(synonyms(name)) if rng.random() < 0.5 else name
    kind = rng.random()
    if kind < 0.6:
        return Caption(rng.choice(PLAIN).format(said))
    if kind < 0.65:
        return Caption(rng.choice(BLURRY).format(said), blurry=True)
    if kind < 0.7:
        return Caption(rng.choice(PIXELATED).format(said), pixelated=True)
    templates = COLOURED if kind < 0.85 or not styles else STYLED
    template = rng.choice(templates)
    style = rng.choice(styles) if "{style}" in template else None
    front, back = rng.sample(sorted(NAMED_COLOURS), 2)
    return Caption(
        template.format(said, style=style, fg=front, bg=back),
        style=style,
        foreground=front if "{fg}" in template else None,
        background=back if "{bg}" in template else None,
    )


def vocabulary() -> tuple[str, ...]:
    """All texts, apart from names, whose words the tokenizer has to know."""
    return (*PLAIN, *COLOURED, *STYLED, *BLURRY, *PIXELATED, *OTHER_TEXTS, *NAMED_COLOURS)
