"""The texts whose words the tokenizer must know, and the program that writes tokenizer and config.

`python -m harness.backbones.glyphs.corpus` rewrites both; run it only before a new pre-training.
"""

import json
import sys
from itertools import chain

from harness.backbones.glyphs import CONFIG_PATH, MERGES_PATH
from harness.backbones.glyphs.captions import vocabulary
from harness.backbones.glyphs.fonts import TRAINING_FACES, UNSEEN_FACES, characters
from harness.backbones.glyphs.names import glyph_name, synonyms
from harness.backbones.glyphs.tokenizer import cut_merges, write_merges


def corpus() -> list[str]:
    """Caption templates and the names of all characters of all fonts, held-out ones included."""
    chars = sorted(set(chain.from_iterable(map(characters, (*TRAINING_FACES, *UNSEEN_FACES)))))
    names = sorted({glyph_name(char) for char in chars} - {""})
    return [*vocabulary(), *chain.from_iterable(map(synonyms, names))]


def main() -> int:
    """Write the merges and the config whose vocabulary size follows from them."""
    merges = cut_merges(corpus())
    write_merges(merges, MERGES_PATH)
    config = {
        "model_cfg": {
            "embed_dim": 128,
            "quick_gelu": False,
            "vision_cfg": {
                "image_size": 32,
                "patch_size": 8,
                "width": 128,
                "layers": 6,
                "head_width": 32,
            },
            "text_cfg": {
                "context_length": 40,
                "vocab_size": 2 * 256 + len(merges) + 2,
                "width": 128,
                "heads": 4,
                "layers": 4,
            },
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    CONFIG_PATH.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    print(f"{len(merges)} merges, vocabulary {config['model_cfg']['text_cfg']['vocab_size']}")  # type: ignore[index]
    return 0


if __name__ == "__main__":
    sys.exit(main())
