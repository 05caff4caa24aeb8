"""What was scored, kept exactly: `keep_logits: true` writes one file of these arrays per cell.

    test/logits            (n, C) float32
    test/frozen_logits     (n, C) float32, the frozen model's; absent without text features
    test/labels            (n,) int64
    test/classes           (C,) text, in label order
    test/support_counts    (C,) int64, support images per class
    test/paths             (n,) text, the images' paths below the data set's root
    retention/NAME/…       the same of every retention set that the classifier was carried over to

The file is NumPy's compressed `.npz`, read without pickle: it holds text beside numbers in one
file that any Python can open, which safetensors (no text) and Parquet (another dependency) do not.
float32 is what measures are computed of, so they come out again exactly. float16 is not enough: at
a logit scale of 100 two scores that differ by .01 tie, and above 65,504 they are infinite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.measure import Scored

TEST = "test"
RETENTION = "retention/"
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Kept:
    """What was scored on one set, with the images' paths in the same order."""

    scored: Scored
    paths: tuple[str, ...]


def to_arrays(sets: Mapping[str, Kept]) -> Arrays:
    """The arrays of a file, from what was scored on `test`, `retention/NAME`, …"""
    arrays: Arrays = {}
    for where, kept in sets.items():
        scored = kept.scored
        arrays |= {
            f"{where}/logits": scored.logits.numpy(),
            f"{where}/labels": scored.labels.numpy(),
            f"{where}/classes": _text(scored.classes),
            f"{where}/support_counts": scored.support_counts.numpy(),
            f"{where}/paths": _text(kept.paths),
        }
        if scored.frozen_logits is not None:
            arrays[f"{where}/frozen_logits"] = scored.frozen_logits.numpy()
    return arrays


def read_kept(path: Path) -> dict[str, Kept]:
    """What a cell's file holds, by `test`, `retention/NAME`, …

    Raises:
        HarnessError: no such file, not a whole one, or one of an earlier version in float16.
    """
    arrays = _arrays(path)
    if f"{TEST}/logits" not in arrays and "logits" in arrays:
        raise HarnessError(
            f"{path}: logits kept as {arrays['logits'].dtype} by an earlier version, which do not "
            "give the record's numbers again: delete the file and run the suite"
        )
    names = dict.fromkeys(key.rpartition("/")[0] for key in arrays)
    if TEST not in names:
        raise HarnessError(f"{path}: not a file of kept logits: there is no {TEST}/logits")
    return {name: _kept(path, arrays, name) for name in names}


def _arrays(path: Path) -> Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except FileNotFoundError:
        raise HarnessError(f"{path}: no such file") from None
    except Exception:  # whatever zipfile, zlib or NumPy make of a damaged file
        raise HarnessError(
            f"{path}: not a whole file of kept logits: delete it and run the suite again"
        ) from None


def _kept(path: Path, arrays: Arrays, name: str) -> Kept:
    def tensor(key: str, *shape: int) -> torch.Tensor:
        found = torch.from_numpy(arrays[f"{name}/{key}"])
        if found.shape != shape:
            raise ValueError
        return found

    try:
        paths = tuple(map(str, arrays[f"{name}/paths"]))
        classes = tuple(map(str, arrays[f"{name}/classes"]))
        n, c = len(paths), len(classes)
        frozen = tensor("frozen_logits", n, c) if f"{name}/frozen_logits" in arrays else None
        scored = Scored(
            tensor("logits", n, c), frozen, tensor("labels", n), classes,
            tensor("support_counts", c),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError):
        raise HarnessError(
            f"{path}: the arrays of {name} do not fit together: delete it and run the suite again"
        ) from None
    return Kept(scored, paths)


def _text(words: Sequence[str]) -> NDArray[np.str_]:
    return np.array(words, dtype=np.str_)
