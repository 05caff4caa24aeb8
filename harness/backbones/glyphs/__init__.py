"""A small CLIP of glyphs and their Unicode names: config, tokenizer and weights, ready to load.

Reading needs no font library. The program that makes the weights is `pretrain.py` beside this file.
"""

import json
from pathlib import Path
from typing import Any, Final

from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file

_HERE: Final = Path(__file__).parent
CONFIG_PATH: Final = _HERE / "open_clip_config.json"
WEIGHTS_PATH: Final = _HERE / "model.safetensors"
MERGES_PATH: Final = _HERE / "bpe_glyphs.txt.gz"
RECIPE_PATH: Final = _HERE / "recipe.json"


def load_config() -> dict[str, Any]:
    """The open_clip config: `model_cfg` (for `open_clip.model.CLIP`) and `preprocess_cfg`."""
    config: dict[str, Any] = json.loads(CONFIG_PATH.read_text(encoding="utf-8"))
    return config


def load_tokenizer() -> SimpleTokenizer:
    """CLIP's tokenizer cut to the glyph corpus; texts (n,) -> tokens (n, 40) int64."""
    context_length = load_config()["model_cfg"]["text_cfg"]["context_length"]
    return SimpleTokenizer(str(MERGES_PATH), context_length=context_length)


def new_model() -> CLIP:
    """The architecture with random weights drawn from torch's global generator."""
    return CLIP(**load_config()["model_cfg"])


def load_model(weights: Path = WEIGHTS_PATH) -> CLIP:
    """The pre-trained model: float32, on the CPU, in evaluation mode.

    Raises FileNotFoundError without a weights file, RuntimeError when keys or shapes do not fit.
    """
    model = new_model()
    model.load_state_dict({name: t.float() for name, t in load_file(weights).items()}, strict=True)
    return model.eval()


def load() -> tuple[CLIP, SimpleTokenizer]:
    """Model and tokenizer."""
    return load_model(), load_tokenizer()
