"""A user's own data set, checked: class folders, a split file, or a file of features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from harness.datasets.dataset import Dataset, DatasetError, Item
from harness.datasets.feature_files import FeatureDataset
from harness.datasets.file_set import FileDataset
from harness.datasets.load import load_dataset
from harness.datasets.reading import read_as
from harness.datasets.spec import DatasetSpec
from harness.errors import few
from harness.features.threads import parallel

NEAR = 0.95
"""Cosine similarity of features from which on two images are nearly the same."""

_ROWS = 4096


def own_spec(path: Path) -> DatasetSpec:
    """The data set that a path holds: a split file (its images beside it), features, or folders.

    Raises:
        DatasetError: there is nothing of the kind.
    """
    name = path.resolve().stem
    if path.is_dir():
        features = (path / "classnames.npy").is_file()
        return DatasetSpec(name=name, kind="features" if features else "folder", root=str(path))
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.suffix == ".npz":
        return DatasetSpec(name=name, kind="features", root=str(path))
    if path.suffix == ".json":
        return DatasetSpec(name=name, kind="folder", root=str(path.parent), split=str(path))
    raise DatasetError(
        f"{path}: expected a folder of class folders, a split file (.json) or features (.npz)"
    )


def check_own(spec: DatasetSpec, decode: bool, near: float | None) -> tuple[list[str], bool]:
    """What there is to say of a data set, a line each; and whether nothing is wrong with it.

    Args:
        decode: read every image.
        near: for features: also count test rows of at least this cosine similarity to a training
            row.

    Raises:
        DatasetError: it cannot be read as a data set.
    """
    data = load_dataset(spec)
    reading = read_as(data)
    corrupt = _corrupt(data) if decode and isinstance(data, FileDataset) else []
    lines = [f"{data.name}: {reading.size}", *(f"  {line}" for line in _per_class(data))]
    lines += [f"  {note}" for note in reading.notes]
    if isinstance(data, FileDataset):
        lines += [f"  {line}" for line in _files(data)]
    if near is not None:
        lines.append(f"  {_nearly_same(data, near)}")
    lines += [f"  cannot be read: {problem}" for problem in corrupt[:5]]
    lines += [f"  cannot be read: {len(corrupt):,} in all"] if len(corrupt) > 5 else []
    lines.append(f"  fingerprint: {data.fingerprint[:16]}")
    return lines, not corrupt and not reading.warnings


def _per_class(data: Dataset) -> Iterator[str]:
    counts = {s: Counter(item.label for item in items) for s, items in data.splits.items()}
    for label, name in enumerate(data.class_names):
        yield f"{name}: " + ", ".join(
            f"{split} {found[label]:,}" for split, found in counts.items()
        )


def _files(data: FileDataset) -> Iterator[str]:
    modes = Counter(content.mode or "unknown" for content in data.contents.values())
    yield "kinds of pixels: " + few((f"{m} {n:,}" for m, n in modes.most_common()), 8)
    sizes = [size for size in parallel(_size, [data.images / p for p in data.contents]) if size]
    if sizes:
        sides = sorted(min(size) for size in sizes)
        yield (
            f"sizes: {len(set(sizes)):,} different; shorter side {sides[0]} to {sides[-1]}, "
            f"median {sides[len(sides) // 2]} pixels"
        )


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except Exception:  # whatever a decoder raises: counted as of no known kind of pixels
        return None


def _corrupt(data: FileDataset) -> list[str]:
    def problem(item: Item) -> str:
        try:
            data.read([item])
        except DatasetError as error:
            return str(error)
        return ""

    items = [item for split in data.splits.values() for item in split]
    return [message for message in parallel(problem, items) if message]


def _nearly_same(data: Dataset, near: float) -> str:
    if not isinstance(data, FeatureDataset) or "train" not in data.splits:
        raise DatasetError(
            f"{data.name}: near-duplicates are told by features, of a train and a test split: "
            "name a file of features"
        )
    train, test = _unit(data, data.items("train")), _unit(data, data.items("test"))
    hits = 0
    for start in range(0, len(test), _ROWS):
        hits += int(((test[start : start + _ROWS] @ train.T).max(axis=1) >= near).sum())
    return f"{hits:,} of {len(test):,} test rows have a cosine of {near:g} or more to a train row"


def _unit(data: Dataset, items: Sequence[Item]) -> np.ndarray:
    rows = data.features(items)
    norms: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit
