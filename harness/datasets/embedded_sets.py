"""Loader of the data sets frozen as arrays in `harness/datasets/embedded/`.

Each set is `<name>.npz` with `train_x`, `train_y`, `val_x`, `val_y`, `test_x`, `test_y` (a
retention set has the last two only): images uint8 (n, H, W, 3), (n, H, W, 1) or (n, H, W), labels
(n,). `index.json` maps each name to class names, template, fitting augmentation, description,
source, licence and the SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dataset import SPLITS, Dataset, DatasetError, Item, digest
from harness.features.augment import AugmentSpec

FOLDER = Path(__file__).parent / "embedded"

_IMPATH = re.compile(r"(train|val|test)/(\d{5,})")


def read_index(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Name → {"class_names", "template", "augment", "description", "source", "licence", "sha256"}.

    Empty where the folder has no `index.json`.

    Raises:
        DatasetError: the index is not a JSON object of objects.
    """
    path = folder / "index.json"
    if not path.exists():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON: {error}") from None
    if not isinstance(index, dict) or not all(isinstance(v, dict) for v in index.values()):
        raise DatasetError(f"{path}: expected an object with one object per data set")
    return index


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedDataset(Dataset):
    """A data set whose images are arrays in one `.npz` file."""

    path: Path
    sha256: str

    @cached_property
    def fingerprint(self) -> str:
        return digest(self.class_names, self.splits, self.sha256)

    @cached_property
    def _images(self) -> Mapping[str, NDArray[np.uint8]]:
        with np.load(self.path, allow_pickle=False) as arrays:
            return {split: _rgb(arrays[f"{split}_x"], self.path) for split in self.splits}

    def contents_by_split(self) -> Mapping[str, Sequence[bytes | str]]:
        return {
            split: [hashlib.sha256(image.tobytes()).digest() for image in images]
            for split, images in self._images.items()
        }

    def read(self, items: Sequence[Item]) -> list[NDArray[np.uint8]]:
        images = self._images
        found = []
        for item in items:
            match = _IMPATH.fullmatch(item.impath)
            split, number = (match[1], int(match[2])) if match else ("", -1)
            if split not in images or number >= len(images[split]):
                raise DatasetError(f'{self.name}: no image "{item.impath}" in {self.path.name}')
            found.append(images[split][number])
        return found


def load_embedded(name: str, folder: Path = FOLDER) -> EmbeddedDataset:
    """The embedded data set `name`; its images are decompressed on the first `read`.

    Raises:
        DatasetError: unknown name, missing file, or a file that is not the one indexed.
    """
    index = read_index(folder)
    if name not in index:
        raise DatasetError(f'no embedded data set "{name}" (there are: {", ".join(index)})')
    entry = index[name]
    path = folder / f"{name}.npz"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    try:
        class_names = tuple(str(c) for c in entry["class_names"])
        template, wanted = str(entry["template"]), str(entry["sha256"])
        augment = AugmentSpec.model_validate(entry.get("augment", {}))
    except KeyError as error:
        raise DatasetError(f"{folder / 'index.json'}: {name}: missing key {error}") from None
    if found != wanted:
        raise DatasetError(
            f"{path}: SHA-256 is {found[:12]}…, index.json says {wanted[:12]}…: "
            f"the file is damaged or of another version; restore it from the repository"
        )
    return EmbeddedDataset(
        name=name,
        class_names=class_names,
        templates=(template,),
        augment=augment,
        splits=_read_splits(content, class_names, path),
        description=str(entry.get("description", "")),
        source=str(entry.get("source", "")),
        licence=str(entry.get("licence", "")),
        path=path,
        sha256=found,
    )


def _read_splits(
    content: bytes, class_names: Sequence[str], path: Path
) -> dict[str, tuple[Item, ...]]:
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            labels = {s: arrays[f"{s}_y"].tolist() for s in SPLITS if f"{s}_y" in arrays.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: not an .npz file of plain arrays: {error}") from None
    if "test" not in labels:
        raise DatasetError(f"{path}: no test_y")
    for split, values in labels.items():
        wrong = [v for v in values if not 0 <= v < len(class_names)]
        if wrong:
            raise DatasetError(
                f"{path}: {split}_y has label {wrong[0]}, there are {len(class_names)} classes"
            )
    return {
        split: tuple(
            Item(f"{split}/{number:05d}", label, class_names[label])
            for number, label in enumerate(values)
        )
        for split, values in labels.items()
    }


def _rgb(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """(n, H, W), (n, H, W, 1) or (n, H, W, 3) → (n, H, W, 3)."""
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DatasetError(
            f"{path}: images are {images.dtype} {images.shape}, expected uint8 (n, H, W[, 1 or 3])"
        )
    rgb: NDArray[np.uint8] = np.broadcast_to(images, (*images.shape[:3], 3))
    return rgb
