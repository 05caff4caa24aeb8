"""FGVC-Aircraft: its own text files instead of a split file; a label is a line of variants.txt."""

from __future__ import annotations

from pathlib import Path

from harness.datasets.catalogue import Known
from harness.datasets.dataset import SPLITS, DatasetError, Item
from harness.datasets.file_set import FileDataset, find_folder, find_images, read_lines
from harness.errors import did_you_mean


def load_aircraft(known: Known, root: Path) -> FileDataset:
    """FGVC-Aircraft from `variants.txt` and `images_variant_{train,val,test}.txt`.

    Raises:
        DatasetError: no folder, a missing or malformed text file (named with its line).
    """
    folder = find_folder(known, root)
    images = find_images(known, folder)
    variants = read_lines(folder / "variants.txt")
    labels = {variant: label for label, variant in enumerate(variants)}
    return FileDataset(
        name=known.name,
        class_names=tuple(variants),
        templates=(known.template,),
        splits={s: _items(folder / f"images_variant_{s}.txt", labels) for s in SPLITS},
        source=known.source,
        licence=known.licence,
        images=images,
    )


def _items(path: Path, labels: dict[str, int]) -> tuple[Item, ...]:
    items = []
    for number, line in enumerate(read_lines(path), start=1):
        image, _, variant = line.partition(" ")
        if variant not in labels:
            raise DatasetError(
                f'{path}:{number}: "{variant}" is not in variants.txt'
                f"{did_you_mean(variant, labels) if len(labels) < 200 else ''}"
            )
        items.append(Item(f"{image}.jpg", labels[variant], variant))
    return tuple(items)
