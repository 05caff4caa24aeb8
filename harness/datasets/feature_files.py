"""Pre-computed features: a data set without pixels, for methods that need no encoder.

The file is `.npz`, or a folder of `.npy` files with the same names:
`classnames` (C,); `trainK_x` (n, d) and `trainK_y` (n,) for K-shot sets, or `train_x`, `train_y`;
`test_x`, `test_y`; and, where there are any, `val_x`, `val_y` and `<split>_impath` (n,).
Text features are another `.npz` with `names` (m,) and `emb` (m, d), in any order, or `emb` (C, d)
alone, in label order. Names are compared without case and with `_` as a space; of rows with the
same name the first counts.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dataset import Dataset, DatasetError, Item, MissingData, digest
from harness.datasets.file_set import some

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureDataset(Dataset):
    """Features by split, and where each item's row is."""

    has_pixels: ClassVar[bool] = False

    arrays: Mapping[str, NDArray[np.float32]]
    """(n, d) by split, rows in the order of `splits`."""
    text: NDArray[np.float32] | None
    """(C, d), unit length."""

    @cached_property
    def fingerprint(self) -> str:
        parts = {split: _hash(array) for split, array in self.arrays.items()}
        parts["text"] = "" if self.text is None else _hash(self.text)
        return digest(self.class_names, self.splits, parts)

    @cached_property
    def _rows(self) -> dict[str, tuple[str, int]]:
        return {
            item.impath: (split, row)
            for split, items in self.splits.items()
            for row, item in enumerate(items)
        }

    def features(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """(n, d), as they are in the file."""
        rows = []
        for item in items:
            if item.impath not in self._rows:
                raise DatasetError(f'{self.name}: no features of "{item.impath}"')
            split, row = self._rows[item.impath]
            rows.append(self.arrays[split][row])
        width = self.arrays["test"].shape[1]
        return np.stack(rows) if rows else np.empty((0, width), np.float32)

    def text_features(self) -> NDArray[np.float32] | None:
        return self.text


def load_features(
    name: str,
    path: Path,
    text: Path | None = None,
    support: int | None = None,
    named_only: bool = False,
) -> FeatureDataset:
    """Features and labels, and text features where given.

    Args:
        support: the K of the `trainK_x` that serves as training split; by default the largest,
            from which smaller draws can be taken.
        named_only: keep the classes that have a text feature, in order, and relabel.

    Raises:
        DatasetError: a missing or malformed array, or classes without a text feature.
    """
    arrays = _read_arrays(path)
    names = [str(n) for n in _need(arrays, "classnames", path)]
    keys = {split: _key(arrays, split, support, path) for split in ("train", "val", "test")}
    found = {split: key for split, key in keys.items() if key is not None}
    if "test" not in found:
        raise DatasetError(f"{path}: no test_x (arrays there: {some(sorted(arrays))})")
    features, items = {}, {}
    for split, key in found.items():
        features[split], items[split] = _read_split(arrays, key, split, names, path)
    widths = {split: array.shape[1] for split, array in features.items()}
    if len(set(widths.values())) > 1:
        raise DatasetError(f"{path}: features differ in width: {widths}")
    emb = None if text is None else _text_rows(text, names, widths["test"])
    if named_only:
        if emb is None:
            raise DatasetError(f"{name}: classes: named needs text: the file of text features")
        keep = [label for label in range(len(names)) if label in emb]
        for split in features:
            features[split], items[split] = _restrict(features[split], items[split], keep)
        emb = {new: emb[old] for new, old in enumerate(keep)}
        names = [names[label] for label in keep]
    if emb is not None and len(emb) < len(names):
        missing = [n for label, n in enumerate(names) if label not in emb]
        raise DatasetError(
            f"{text}: no text feature of {len(missing)} classes of {name} ({some(missing)}); "
            f"classes: named keeps the {len(emb)} that have one"
        )
    return FeatureDataset(
        name=name,
        class_names=tuple(n.replace("_", " ") for n in names),
        templates=("{}",),
        splits=items,
        arrays=features,
        text=None if emb is None else np.stack([emb[label] for label in range(len(names))]),
    )


def _read_arrays(path: Path) -> Arrays:
    try:
        if path.is_dir():
            return {f.stem: np.load(f, allow_pickle=False) for f in sorted(path.glob("*.npy"))}
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            return {key: file[key] for key in file.files}
    except OSError as error:
        kind = MissingData if isinstance(error, FileNotFoundError) else DatasetError
        raise kind(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"{path}: not an .npz file of plain arrays: {error}") from None


def _need(arrays: Arrays, key: str, path: Path) -> NDArray[Any]:
    if key not in arrays:
        raise DatasetError(f"{path}: no {key} (arrays there: {', '.join(sorted(arrays))})")
    return arrays[key]


def _key(arrays: Arrays, split: str, support: int | None, path: Path) -> str | None:
    """The array prefix of a split: "val", "test", "train" or "train16"."""
    if split != "train":
        return split if f"{split}_x" in arrays else None
    matches = (re.fullmatch(r"train(\d+)_x", key) for key in arrays)
    shots = sorted(int(match[1]) for match in matches if match)
    if support is None:
        if "train_x" in arrays:
            return "train"
        return f"train{shots[-1]}" if shots else None
    if support not in shots:
        there = ", ".join(map(str, shots)) or "none"
        raise DatasetError(f"{path}: no train{support}_x (K-shot sets there: {there})")
    return f"train{support}"


def _read_split(
    arrays: Arrays, key: str, split: str, names: Sequence[str], path: Path
) -> tuple[NDArray[np.float32], tuple[Item, ...]]:
    x, y = _need(arrays, f"{key}_x", path), _need(arrays, f"{key}_y", path)
    if x.ndim != 2 or y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: {key}_x is {x.dtype} {x.shape} and {key}_y {y.dtype} {y.shape}, "
            f"expected features (n, d) and integer labels (n,)"
        )
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise DatasetError(f"{path}: {key}_x[{row}] has NaN or infinity")
    labels = y.tolist()
    wrong = [(row, label) for row, label in enumerate(labels) if not 0 <= label < len(names)]
    if wrong:
        row, label = wrong[0]
        raise DatasetError(f"{path}: {key}_y[{row}] is {label}, there are {len(names)} classes")
    # The prefix keeps an image apart from itself in another split.
    own = arrays.get(f"{key}_impath")
    if own is not None and own.shape != (len(x),):
        raise DatasetError(f"{path}: {key}_impath has {len(own)} rows, {key}_x has {len(x)}")
    paths = [f"{n:05d}" for n in range(len(x))] if own is None else [str(p) for p in own]
    items = (
        Item(f"{key}/{p}", label, names[label]) for p, label in zip(paths, labels, strict=True)
    )
    return x.astype(np.float32), tuple(items)


def _text_rows(path: Path, names: Sequence[str], width: int) -> dict[int, NDArray[np.float32]]:
    """Unit-length text features by label, for the classes whose name is found."""
    arrays = _read_arrays(path)
    emb = _need(arrays, "emb", path).astype(np.float32)
    if emb.ndim != 2 or emb.shape[1] != width:
        raise DatasetError(f"{path}: emb is {emb.shape}, the image features have width {width}")
    emb = emb / np.linalg.norm(emb, axis=1, keepdims=True)
    if "names" not in arrays:
        if len(emb) != len(names):
            raise DatasetError(f"{path}: {len(emb)} rows for {len(names)} classes, and no names")
        return dict(enumerate(emb))
    rows: dict[str, int] = {}
    for row, n in enumerate(arrays["names"]):
        rows.setdefault(_plain(str(n)), row)  # vocabularies repeat names: the first row counts
    return {label: emb[rows[_plain(n)]] for label, n in enumerate(names) if _plain(n) in rows}


def _plain(name: str) -> str:
    return name.replace("_", " ").lower()


def _restrict(
    features: NDArray[np.float32], items: Sequence[Item], keep: Sequence[int]
) -> tuple[NDArray[np.float32], tuple[Item, ...]]:
    new = {old: label for label, old in enumerate(keep)}
    rows = [row for row, item in enumerate(items) if item.label in new]
    return features[rows], tuple(items[r]._replace(label=new[items[r].label]) for r in rows)


def _hash(array: NDArray[Any]) -> str:
    header = f"{array.dtype.str} {array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()
