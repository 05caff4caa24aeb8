"""Which characters the glyph model learns, which it never sees, and what they are called."""

import unicodedata
from typing import Final

HELD_OUT_FAMILIES: Final = (
    "GEORGIAN",
    "ARMENIAN",
    "TIFINAGH",
    "NKO",
    "OGHAM",
    "PLAYING CARD",
    "DOMINO",
)
"""Families that pre-training never sees: no character whose Unicode name has these words."""

# Dot patterns and marks that say nothing when drawn alone.
_DROPPED_WORDS: Final = ("BRAILLE PATTERN", "VARIATION SELECTOR", "REPLACEMENT CHARACTER")
_DROPPED_CATEGORIES: Final = frozenset(
    {"Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Mc", "Me", "Zl", "Zp", "Zs"}
)


def glyph_name(char: str) -> str:
    """The Unicode name as in captions: lower case, hyphens as spaces; "" for the nameless."""
    return unicodedata.name(char, "").lower().replace("-", " ")


def is_held_out(char: str) -> bool:
    """Whether `char` belongs to a family kept for the few-shot data sets."""
    words = f" {unicodedata.name(char, '').replace('-', ' ')} "
    return any(f" {family} " in words for family in HELD_OUT_FAMILIES)


def is_candidate(char: str) -> bool:
    """Whether `char` has a name and a look of its own (held-out families included)."""
    name = unicodedata.name(char, "")
    if not name or unicodedata.category(char) in _DROPPED_CATEGORIES:
        return False
    if name.startswith("MATHEMATICAL ") and name.split()[-2] in {"CAPITAL", "SMALL", "DIGIT"}:
        return False
    return not name.startswith(_DROPPED_WORDS)


def synonyms(name: str) -> tuple[str, ...]:
    """Short everyday forms of a caption name, the name itself first.

    Only plain Latin letters and digits have any: "digit five" is also "the number five",
    "latin small letter a" also "the letter a".
    """
    words = name.split()
    if len(words) == 2 and words[0] == "digit":
        return (name, words[1], f"number {words[1]}", f"handwritten digit {words[1]}")
    if len(words) == 4 and words[0] == "latin" and words[2] == "letter" and len(words[3]) == 1:
        case = "uppercase" if words[1] == "capital" else "lowercase"
        return (
            name,
            f"letter {words[3]}",
            f"{words[1]} letter {words[3]}",
            f"{case} {words[3]}",
        )
    if len(words) == 4 and words[0] == "greek" and words[2] == "letter":
        return (name, f"greek letter {words[3]}", f"greek {words[3]}")
    return (name,)


def sampling_weight(name: str) -> float:
    """How often a name is drawn, relative to a rare symbol; digits and letters come more often."""
    words = name.split()
    if len(words) == 2 and words[0] == "digit":
        return 12.0
    if len(words) == 4 and words[2] == "letter" and words[0] in {"latin", "greek"}:
        return 5.0
    if words[0] in {"canadian", "yijing", "box"}:
        return 0.5
    return 1.0
