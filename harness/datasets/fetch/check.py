"""What is there of the known data sets, and what is missing: pure functions over a folder.

Nothing is printed here; the command line shows the findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.datasets.catalogue import CATALOGUE, Known
from harness.datasets.dataset import DatasetError
from harness.datasets.embedded_sets import read_index
from harness.datasets.file_set import FileDataset, file_size, find_folder
from harness.datasets.load import load_known
from harness.errors import did_you_mean
from harness.features.threads import parallel

Status = Literal["complete", "incomplete", "unreadable", "absent"]

NAMED = 5
"""How many missing or corrupt files a finding names; it counts all of them."""


@dataclass(frozen=True)
class SplitCount:
    """How many images a split lists, has on disk, and should have."""

    listed: int
    present: int
    known: int | None
    """The published size; None where it is not known."""

    @property
    def right(self) -> bool:
        return self.listed == self.present and self.known in (None, self.listed)


@dataclass(frozen=True)
class Finding:
    """One data set: what was found of it."""

    known: Known
    status: Status
    """`absent`: no folder. `unreadable`: a folder, but not its lists. `incomplete`: counts differ
    or files are missing or corrupt. `complete`: everything agrees with the known sizes."""
    classes: int | None = None
    counts: dict[str, SplitCount] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """Paths below the image folder, in the order of the splits."""
    corrupt: tuple[str, ...] = ()
    """One message per image that cannot be decoded; empty when decoding was not asked for."""
    fingerprint: str | None = None
    """None unless every file is there."""
    problem: str = ""

    def lines(self) -> list[str]:
        """The finding as text: one headline, then details indented by two spaces."""
        lines = [f"{self.known.name}: {self.status}"]
        if self.problem:
            lines.append(f"  {self.problem}")
        if self.classes is not None and self.classes != self.known.classes:
            lines.append(f"  {self.classes} classes, expected {self.known.classes}")
        for split, count in self.counts.items():
            expected = "" if count.known is None else f", expected {count.known}"
            lines.append(f"  {split}: {count.present} of {count.listed} images{expected}")
        for what, names in (("missing", self.missing), ("corrupt", self.corrupt)):
            lines += [f"  {what}: {name}" for name in names[:NAMED]]
            if len(names) > NAMED:
                lines.append(f"  {what}: … {len(names)} in all")
        if self.fingerprint:
            lines.append(f"  fingerprint: {self.fingerprint[:16]}")
        lines += [f"  source: {self.known.source}", f"  licence: {self.known.licence}"]
        if self.known.advice and self.status != "complete":
            lines.append(f"  advice: {self.known.advice}")
        return lines


def check(root: Path, names: Iterable[str] = (), decode: bool = False) -> list[Finding]:
    """Look for known data sets below `root`.

    Args:
        root: the folder of the data sets' folders.
        names: which ones; by default all of the catalogue.
        decode: also decode every image, and name the corrupt ones.

    Raises:
        DatasetError: no such folder, or an unknown name (with the nearest known one).
    """
    if not root.is_dir():
        problem = "not a folder" if root.exists() else "no such folder"
        raise DatasetError(f"{root}: {problem}; name the one that holds the data sets' folders")
    chosen = list(names) or list(CATALOGUE)
    for name in chosen:
        known_set(name)
    return [check_one(CATALOGUE[name], root, decode) for name in chosen]


def known_set(name: str) -> Known:
    """The entry of the catalogue.

    Raises:
        DatasetError: there is none (with the nearest one), or the data set is in the package.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    if name in read_index():
        raise DatasetError(
            f'"{name}" is embedded in the package: there is nothing to check or to fetch'
        )
    raise DatasetError(f'unknown data set "{name}"{did_you_mean(name, CATALOGUE)}')


def check_one(known: Known, root: Path, decode: bool = False) -> Finding:
    """The finding of one data set."""
    try:
        find_folder(known, root)
    except DatasetError as error:
        return Finding(known, "absent", problem=str(error))
    try:
        data = load_known(known, root)
    except DatasetError as error:
        return Finding(known, "unreadable", problem=str(error))
    assert isinstance(data, FileDataset)
    counts, missing = count_images(data, known)
    corrupt = _corrupt(data, set(missing)) if decode else ()
    right = all(count.right for count in counts.values()) and not corrupt
    right = right and len(data.class_names) == known.classes
    return Finding(
        known,
        "complete" if right else "incomplete",
        classes=len(data.class_names),
        counts=counts,
        missing=missing,
        corrupt=corrupt,
        fingerprint=None if missing else data.fingerprint,
    )


def count_images(data: FileDataset, known: Known) -> tuple[dict[str, SplitCount], tuple[str, ...]]:
    """Listed, present and known images by split; and the missing paths. Empty files are missing."""
    counts, missing = {}, []
    for split, items in data.splits.items():
        sizes = parallel(lambda item: file_size(data.images / item.impath), items)
        gone = [item.impath for item, size in zip(items, sizes, strict=True) if not size]
        counts[split] = SplitCount(len(items), len(items) - len(gone), known.known_sizes.get(split))
        missing += gone
    return counts, tuple(missing)


def _corrupt(data: FileDataset, missing: set[str]) -> tuple[str, ...]:
    from harness.datasets.read_image import read_image

    def problem(impath: str) -> str:
        try:
            read_image(data.images / impath)
        except DatasetError as error:
            return str(error)
        return ""

    items = (item.impath for split in data.splits.values() for item in split)
    paths = [path for path in items if path not in missing]
    return tuple(message for message in parallel(problem, paths) if message)
