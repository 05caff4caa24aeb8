"""CLIP's byte-pair encoding, cut to the merges that a corpus of words needs.

Byte-pair encoding merges the pair of lowest rank first. Leaving out merges that no word of the
corpus uses, and keeping the order of the rest, changes no choice made for those words: the pieces
stay CLIP's.
"""

import gzip
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex  # type: ignore[import-untyped]
from open_clip.tokenizer import SimpleTokenizer, default_bpe

_HEADER = "#version: CLIP's byte-pair merges, cut to the words of the glyph corpus"


def words_of(texts: Iterable[str], tokenizer: Any) -> set[str]:
    """The distinct words into which the tokenizer splits `texts` before merging, byte-encoded."""
    words: set[str] = set()
    for text in set(texts):
        for word in regex.findall(tokenizer.pat, tokenizer.clean_fn(text)):
            words.add("".join(tokenizer.byte_encoder[b] for b in word.encode("utf-8")))
    return words


def merges_used(word: str, ranks: dict[tuple[str, str], int]) -> set[tuple[str, str]]:
    """The merges that byte-pair encoding makes in `word`."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    used: set[tuple[str, str]] = set()
    while len(pieces) > 1:
        pair = min(pairwise(pieces), key=lambda p: ranks.get(p, len(ranks)))
        if pair not in ranks:
            break
        used.add(pair)
        merged: list[str] = []
        for piece in pieces:
            if merged and (merged[-1], piece) == pair:
                merged[-1] += piece
            else:
                merged.append(piece)
        pieces = merged
    return used


def cut_merges(texts: Iterable[str]) -> list[tuple[str, str]]:
    """CLIP's merges that occur in `texts`, in CLIP's order."""
    full: Any = SimpleTokenizer(default_bpe())
    used: set[tuple[str, str]] = set()
    for word in words_of(texts, full):
        used |= merges_used(word, full.bpe_ranks)
    return sorted(used, key=lambda pair: full.bpe_ranks[pair])


def write_merges(merges: Iterable[tuple[str, str]], path: Path) -> None:
    """Write a gzip file for `open_clip.SimpleTokenizer(bpe_path=...)`; same merges, same bytes."""
    text = "\n".join([_HEADER, *(" ".join(pair) for pair in merges)])
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
