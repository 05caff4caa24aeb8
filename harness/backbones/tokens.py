"""Text ↔ token ids, one face for open_clip's tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tokenizer:
    """Words to ids without special tokens, and the special tokens by name.

    `sot` is None where the text tower knows no start-of-text token (T5-style vocabularies).
    """

    raw: Any
    sot: int | None
    eot: int
    pad: int
    _cache: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def encode(self, text: str) -> list[int]:
        """Ids of `text` alone."""
        if text not in self._cache:
            self._cache[text] = tuple(self._encode(text))
        return list(self._cache[text])

    def _encode(self, text: str) -> Sequence[int]:
        if hasattr(self.raw, "encode"):
            ids: Sequence[int] = self.raw.encode(text)
        else:
            cleaned = self.raw.clean_fn(text)
            ids = self.raw.tokenizer(cleaned, add_special_tokens=False)["input_ids"]
        return ids


def adapt_tokenizer(raw: Any) -> Tokenizer:
    """Wrap open_clip's `SimpleTokenizer` (or its like) or its `HFTokenizer`."""
    if hasattr(raw, "sot_token_id"):
        return Tokenizer(raw, raw.sot_token_id, raw.eot_token_id, getattr(raw, "pad_token_id", 0))
    ends = raw.tokenizer("")["input_ids"]
    sot = ends[0] if len(ends) == 2 else None
    return Tokenizer(raw, sot, ends[-1], raw.tokenizer.pad_token_id)


def vocabulary_of(raw: Any) -> list[Any]:
    """Pieces, ids and merges of a tokenizer of either of open_clip's kinds, as JSON values.

    Empty where it holds them otherwise.
    """
    fast = getattr(getattr(raw, "tokenizer", None), "backend_tokenizer", None)
    if fast is not None:
        return [fast.to_str()]
    tables = [getattr(raw, name, None) for name in ("encoder", "bpe_ranks")]
    return [[[str(k), str(v)] for k, v in t.items()] for t in tables if isinstance(t, dict)]


class ByteTokenizer:
    """UTF-8 bytes as ids 3 … 258. A stand-in where weights are random and no vocabulary is at hand.

    Shaped like SigLIP's vocabulary: no start token, end token 1, padded with 1.
    """

    sot_token_id = None
    eot_token_id = 1
    pad_token_id = 1

    def encode(self, text: str) -> list[int]:
        return [3 + byte for byte in text.lower().strip().encode("utf-8")]
