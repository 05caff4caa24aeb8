"""`harness draw`: the few-shot draw of any CoOp split file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.episode import draw, read_split, to_json_lines


def print_draw(split: Path, shots: int, seed: int, sampler: str) -> int:
    """Print `{"split", "impath", "label", "classname"}` per image, in drawing order."""
    splits = read_split(split)
    episode = draw(splits["train"], splits.get("val", ()), shots, seed, sampler)
    try:
        sys.stdout.write(to_json_lines(episode))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `harness draw … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
