"""Pre-computed features: a data set without pixels, for methods that need no encoder.

The file is `.npz`, or a folder of `.npy` files with the same names:
`classnames` (C,); `trainK_x` (n, d) and `trainK_y` (n,) for K-shot sets, or `train_x`, `train_y`;
`test_x`, `test_y`; and, where there are any, `val_x`, `val_y` and `<split>_impath` (n,).
Text features are another `.npz` with `names` (m,) and `emb` (m, d), in any order, or `emb` (C, d)
alone, in label order. Names are compared without case and with `_` as a space; of rows with the
same name the first counts.

`.npy` files are memory-mapped: of a million features, those are read that are asked for. Folders
of more than 64 MiB are read through once, to check and fingerprint them (`remembered.py`).
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.datasets.class_names import check_class_names
from harness.datasets.dataset import Dataset, DatasetError, Item, MissingData, digest
from harness.datasets.leaks import refuse_shared_paths
from harness.datasets.remembered import remembered
from harness.datasets.rows import Rows
from harness.errors import few

Arrays = Mapping[str, NDArray[Any]]

LARGE = 2**26
"""Bytes (64 MiB) from which on a folder's fingerprint is remembered."""

TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureDataset(Dataset):
    """Features by split, and where each item's row is."""

    has_pixels: ClassVar[bool] = False

    splits: Mapping[str, Rows]
    text: NDArray[np.float32] | None
    """(C, d), as they are in the file."""
    known: str | None = None
    """The fingerprint, where it is known already."""

    @cached_property
    def fingerprint(self) -> str:
        if self.known is not None:
            return self.known
        parts = {split: _hash(rows) for split, rows in self.splits.items()}
        parts["text"] = "" if self.text is None else _hash_array(self.text)
        return digest(self.class_names, self.splits, parts)

    def features(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """(n, d), as they are in the file."""
        if isinstance(items, Rows) and any(items.array is s.array for s in self.splits.values()):
            return items.features()
        found = np.empty((len(items), self.splits["test"].array.shape[1]), np.float32)
        for place, item in enumerate(items):
            for rows in self.splits.values():
                number = rows.number(item.impath)
                if number is not None:
                    found[place] = rows.array[number]
                    break
            else:
                raise DatasetError(f'{self.name}: no features of "{item.impath}"')
        return found

    def _check_labels(self) -> None:
        """Nothing: `load_features` has checked them, a whole array at a time."""

    def contents_by_split(self) -> Mapping[str, Sequence[bytes | str]]:
        """Of sets below `LARGE` bytes: of larger ones it would take as long as to read them."""
        if sum(rows.array.nbytes for rows in self.splits.values()) >= LARGE:
            return {}
        return {
            split: [
                hashlib.sha256(row.tobytes()).digest() for chunk in rows.chunks() for row in chunk
            ]
            for split, rows in self.splits.items()
        }

    def raw_text_features(self) -> NDArray[np.float32] | None:
        return self.text

    def text_features(self) -> NDArray[np.float32] | None:
        if self.text is None:
            return None
        # A zero row stays one, and is refused by name when the features are first used.
        norms = np.linalg.norm(self.text, axis=1, keepdims=True)
        unit: NDArray[np.float32] = self.text / np.maximum(norms, TINY)
        return unit


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
    names, splits = _read_splits(path, support)
    emb = None if text is None else _text_rows(text, names, splits["test"].array.shape[1])
    if named_only:
        if emb is None:
            raise DatasetError(f"{name}: classes: named needs text: the file of text features")
        keep = [label for label in range(len(names)) if label in emb]
        splits = {split: rows.restrict(keep) for split, rows in splits.items()}
        emb = {new: emb[old] for new, old in enumerate(keep)}
        names = [names[label] for label in keep]
    if emb is not None and len(emb) < len(names):
        missing = [n for label, n in enumerate(names) if label not in emb]
        raise DatasetError(
            f"{text}: no text feature of {len(missing)} classes of {name} ({few(missing, 3)}); "
            f"classes: named keeps the {len(emb)} that have one"
        )
    data = FeatureDataset(
        name=name,
        class_names=tuple(n.replace("_", " ") for n in names),
        templates=("{}",),
        splits=splits,
        text=None if emb is None else np.stack([emb[label] for label in range(len(names))]),
    )
    return _read_through(data, path, text, [support, named_only])


def _read_splits(path: Path, support: int | None) -> tuple[list[str], dict[str, Rows]]:
    """Class names and the rows of each split, of one width."""
    arrays = _read_arrays(path)
    names = [str(n) for n in _need(arrays, "classnames", path)]
    keys = {split: _key(arrays, split, support, path) for split in ("train", "val", "test")}
    found = {split: key for split, key in keys.items() if key is not None}
    if "test" not in found:
        raise DatasetError(f"{path}: no test_x (arrays there: {few(sorted(arrays), 3)})")
    places = [f'classnames[{label}] "{n}"' for label, n in enumerate(names)]
    check_class_names(str(path), names, places)
    splits = {split: _read_split(arrays, key, names, path) for split, key in found.items()}
    _refuse_shared(path, splits)
    widths = {split: rows.array.shape[1] for split, rows in splits.items()}
    if len(set(widths.values())) > 1:
        said = ", ".join(f"{split} {width}" for split, width in widths.items())
        raise DatasetError(f"{path}: features differ in width: {said}")
    return names, splits


def _read_through(
    data: FeatureDataset, path: Path, text: Path | None, options: list[Any]
) -> FeatureDataset:
    """`data`, its features finite; of large folders once per state of their files."""

    def check() -> str:
        for rows in data.splits.values():
            _check_finite(rows, path)
        return data.fingerprint

    files = list(path.glob("*.npy")) if path.is_dir() else []
    if files and text is not None:
        files += text.glob("*.npy") if text.is_dir() else [text]
    if sum(file.stat().st_size for file in files) >= LARGE:
        return replace(data, known=remembered(files, options, check))
    check()
    return data


def _read_arrays(path: Path) -> Arrays:
    try:
        if path.is_dir():
            files = sorted(path.glob("*.npy"))
            return {f.stem: np.load(f, mmap_mode="r", allow_pickle=False) for f in files}
        if not zipfile.is_zipfile(path):
            what = "a single array, of np.save" if _is_npy(path) else "damaged, or of another kind"
            raise DatasetError(f"{path}: not an .npz file ({what}): np.savez writes one")
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except OSError as error:
        kind = MissingData if isinstance(error, FileNotFoundError) else DatasetError
        raise kind(f"{path}: cannot be read: {error.strerror or error}") from None
    except DatasetError:
        raise
    except (ValueError, AttributeError, zipfile.BadZipFile, EOFError):
        raise DatasetError(
            f"{path}: not an .npz file of plain arrays: it is damaged, or holds Python objects; "
            "write names as text, not as objects: np.array(names, dtype=str)"
        ) from None


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


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


def _read_split(arrays: Arrays, key: str, names: Sequence[str], path: Path) -> Rows:
    x, y = _need(arrays, f"{key}_x", path), _need(arrays, f"{key}_y", path)
    if x.ndim != 2 or y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: {key}_x is {x.dtype} {x.shape} and {key}_y {y.dtype} {y.shape}, "
            f"expected features (n, d) and integer labels (n,)"
        )
    if x.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: {key}_x is {x.dtype}, expected real numbers")
    wrong = np.flatnonzero((y < 0) | (y >= len(names)))
    if len(wrong):
        row = int(wrong[0])
        raise DatasetError(f"{path}: {key}_y[{row}] is {y[row]}, there are {len(names)} classes")
    own = arrays.get(f"{key}_impath")
    if own is not None and own.shape != (len(x),):
        raise DatasetError(f"{path}: {key}_impath has {len(own)} rows, {key}_x has {len(x)}")
    return Rows(key, x, y.astype(np.int64), np.arange(len(x)), tuple(names), own)


def _refuse_shared(path: Path, splits: Mapping[str, Rows]) -> None:
    """Where rows say which image they are of: no image is in two splits."""
    own = {split: rows for split, rows in splits.items() if rows.paths is not None}
    items = {
        split: [item._replace(impath=item.impath.partition("/")[2]) for item in rows]
        for split, rows in own.items()
    }
    refuse_shared_paths(str(path), items)


def _check_finite(rows: Rows, path: Path) -> None:
    start = 0
    for chunk in rows.chunks():
        finite = np.isfinite(chunk).all(axis=1)
        if not finite.all():
            row = int(rows.numbers[start + int(np.argmin(finite))])
            raise DatasetError(f"{path}: {rows.key}_x[{row}] has NaN or infinity")
        start += len(chunk)


def _text_rows(path: Path, names: Sequence[str], width: int) -> dict[int, NDArray[np.float32]]:
    """Text features by label, for the classes whose name is found."""
    arrays = _read_arrays(path)
    emb = _need(arrays, "emb", path).astype(np.float32)
    if emb.ndim != 2 or emb.shape[1] != width:
        raise DatasetError(f"{path}: emb is {emb.shape}, the image features have width {width}")
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


def _hash(rows: Rows) -> str:
    """Of the features as one float32 array, read some rows at a time."""
    hashed = _header((len(rows), rows.array.shape[1]))
    for chunk in rows.chunks():
        hashed.update(np.ascontiguousarray(chunk).data)
    return hashed.hexdigest()


def _hash_array(array: NDArray[np.float32]) -> str:
    hashed = _header(array.shape)
    hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def _header(shape: tuple[int, ...]) -> hashlib._Hash:
    return hashlib.sha256(f"{np.dtype(np.float32).str} {shape}".encode())
