"""`fetch`: a data set's images from its source into the layout the adapters read.

Addresses and MD5 sums are torchvision's (Aircraft's: as published in several projects); SHA-256
sums of the ImageNet variants are tensorflow-datasets'. An MD5 shows a damaged file, not a forged
one. Only sets that may be had without an account are here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.catalogue import Known
from harness.datasets.dataset import DatasetError
from harness.datasets.fetch.check import known_set
from harness.datasets.fetch.download import Progress, download
from harness.datasets.fetch.unpack import unpack
from harness.datasets.file_set import class_folders, find_folder, find_images

_VGG = "https://www.robots.ox.ac.uk/~vgg/data"
_HENDRYCKS = "https://people.eecs.berkeley.edu/~hendrycks"
_HF = "https://huggingface.co/datasets"


@dataclass(frozen=True)
class Source:
    """Where the images of a data set come from."""

    url: str
    checksum: str
    into: str
    """The folder, below the root, that the archive's top-level entries belong in."""
    inner: str = ""
    """An archive inside the archive, unpacked in turn."""


SOURCES: Mapping[str, Source] = {
    "caltech101": Source(
        "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
        "md5:3138e1922a9193bfa496528edbbc45d0",
        into="caltech-101",
        inner="caltech-101/101_ObjectCategories.tar.gz",
    ),
    "dtd": Source(
        f"{_VGG}/dtd/download/dtd-r1.0.1.tar.gz",
        "md5:fff73e5086ae6bdbea199a49dfb8a4c1",
        into=".",
    ),
    "eurosat": Source(
        f"{_HF}/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
        "md5:c8fa014336c82ac7804f0398fcb19387",
        into="eurosat",
    ),
    "fgvc_aircraft": Source(
        f"{_VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
        "md5:d4acdd33327262359767eeaa97a4f732",
        into=".",
    ),
    "food101": Source(
        "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
        "md5:85eeb15f3717b99a5da872d97d918f87",
        into=".",
    ),
    "oxford_flowers": Source(
        f"{_VGG}/flowers/102/102flowers.tgz",
        "md5:52808999861908f626f3c1f4e79d11fa",
        into="oxford_flowers",
    ),
    "oxford_pets": Source(
        f"{_VGG}/pets/data/images.tar.gz",
        "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c",
        into="oxford_pets",
    ),
    "imagenet_v2": Source(
        f"{_HF}/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
        "sha256:f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
        into="imagenetv2",
    ),
    "imagenet_a": Source(
        f"{_HENDRYCKS}/imagenet-a.tar",
        "sha256:3bb3632277e6ba6392ea64c02ddbf4dd2266c9caffd6bc09c9656d28f012589e",
        into="imagenet-adversarial",
    ),
    "imagenet_r": Source(
        f"{_HENDRYCKS}/imagenet-r.tar",
        "sha256:18c6bf493b39a0d975d48e587437f562caab9c52ae6327dcfa9dd8eb54aa1b52",
        into="imagenet-rendition",
    ),
}


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did."""

    folder: Path
    """The data set's folder."""
    downloaded: bool
    """False where the images were there already."""
    still_needed: str
    """What must be put in place by hand, or an empty text."""


def fetch(
    name: str,
    root: Path,
    progress: Progress = lambda done, total: None,
    sources: Mapping[str, Source] = SOURCES,
) -> Fetched:
    """Download and unpack the images of a known data set below `root`.

    Run again after an interruption, it goes on where it stopped. Images that are there already,
    under any of the usual names, are left alone.

    Raises:
        DatasetError: unknown name; no source to fetch from (the message says what to do); or what
            `download` and `unpack` raise.
    """
    known = known_set(name)
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root}: not a folder; name one to put the data set's folder into")
    found = _images(known, root)
    if found is not None:
        return Fetched(found, False, _still_needed(known, found, root))
    if name not in sources:
        advice = known.advice or f"get it from {known.source} (licence: {known.licence})"
        raise DatasetError(f"{name}: cannot be fetched by this command: {advice}")
    source = sources[name]
    archive = root / ".downloads" / source.url.rpartition("/")[2]
    download(source.url, archive, source.checksum, progress)
    _place(archive, source, root)
    found = _images(known, root)
    if found is None:
        raise DatasetError(
            f"{name}: {source.url} was unpacked into {root / source.into}, but the images are not "
            f"where they should be ({' or '.join(known.images)}): the source has changed"
        )
    archive.unlink()
    return Fetched(found, True, _still_needed(known, found, root))


def _place(archive: Path, source: Source, root: Path) -> None:
    if not source.inner:
        unpack(archive, root / source.into)
        return
    outer = archive.with_name(archive.name + ".unpacked")
    shutil.rmtree(outer, ignore_errors=True)  # of an interrupted run
    try:
        unpack(archive, outer)
        inner = outer / source.inner
        if not inner.is_file():
            raise DatasetError(f"{archive}: no {source.inner} in it: the source has changed")
        unpack(inner, root / source.into)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _images(known: Known, root: Path) -> Path | None:
    """The data set's folder where its images are there; else None."""
    try:
        folder = find_folder(known, root)
        images = find_images(known, folder)
    except DatasetError:
        return None
    # "." stands for the folder itself, which may hold nothing but a split file.
    return folder if images != folder or class_folders(folder) else None


def _still_needed(known: Known, folder: Path, root: Path) -> str:
    guide = "CoOp's DATASETS.md (github.com/KaiyangZhou/CoOp) says where to get it"
    if known.split_file is not None and not (folder / known.split_file).is_file():
        return f"put {known.split_file} into {folder}: {guide}"
    lists = [folder, root / "imagenet", root / "ImageNet"]
    if known.name.startswith("imagenet") and not any(
        (place / "classnames.txt").is_file() for place in lists
    ):
        return f"put classnames.txt into {folder} or {root / 'imagenet'}: {guide}"
    return ""
