"""What a data set was read as: its classes and images, what was passed over, what to be wary of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.datasets.dataset import Dataset
from harness.datasets.file_set import FileDataset
from harness.datasets.leaks import shared_contents
from harness.errors import few


@dataclass(frozen=True)
class Reading:
    """Said by `harness plan` and `harness data check`, and kept in records as notes."""

    classes: int
    images: Mapping[str, int]
    """By split."""
    remarks: tuple[str, ...]
    """What was passed over, and how images are read that could be read in another way."""
    warnings: tuple[str, ...]
    """Images that stand in two splits or under two labels."""

    @property
    def size(self) -> str:
        """ "10 classes; images: train 40, val 20, test 120"."""
        images = ", ".join(f"{split} {count:,}" for split, count in self.images.items())
        return f"{self.classes:,} classes; images: {images}"

    @property
    def said(self) -> tuple[str, ...]:
        """All of it, a sentence an entry."""
        return (self.size, *self.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks and warnings: what a reader of a number has to know."""
        return (*self.remarks, *(f"warning: {warning}" for warning in self.warnings))


def read_as(data: Dataset) -> Reading:
    """What a data set was read as.

    Raises:
        DatasetError: images are missing.
    """
    remarks = list(data.remarks)
    if data.skipped:
        remarks.append(f"not read: {few(data.skipped)}")
    if isinstance(data, FileDataset):
        remarks += _of_files(data)
    contents = data.contents_by_split()
    return Reading(
        classes=len(data.class_names),
        images={split: len(items) for split, items in data.splits.items()},
        remarks=tuple(remarks),
        warnings=tuple(shared_contents(data.splits, contents)),
    )


def _of_files(data: FileDataset) -> Iterator[str]:
    found = Counter(content.mode for content in data.contents.values())
    turned = sum(content.turned for content in data.contents.values())
    several = sum(content.several for content in data.contents.values())
    if turned:
        how = "it is applied" if data.oriented else "not applied, as in CLIP's own preprocessing"
        yield f"{turned:,} images have an EXIF orientation: {how} (oriented: true applies it)"
    if several:
        yield f"{several:,} files hold several pictures: the first is read"
    for modes, what in _CONVERTED:
        if count := sum(found[mode] for mode in modes):
            yield f"{count:,} images {what}"
    if found[""]:
        yield f"{found['']:,} files cannot be recognised as images (harness data check names them)"


_CONVERTED = (
    (("RGBA", "LA", "PA", "RGBa", "La"), "have an alpha channel: it is dropped, as CLIP does"),
    (("CMYK",), "are CMYK: converted without a colour profile, as CLIP does"),
    (("I", "I;16", "I;16B", "I;16L", "I;16N"), "have 16 bits: scaled to 8"),
    (("F",), "have floats from 0 to 1: scaled to 8 bits"),
)
