"""`load_dataset`: from a spec to a data set, whatever kind it is."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from harness import registry
from harness.datasets.aircraft import load_aircraft
from harness.datasets.catalogue import AIRCRAFT, CATALOGUE, IMAGENET, Known
from harness.datasets.class_folders import load_class_folders
from harness.datasets.dataset import Dataset, DatasetError, MissingData
from harness.datasets.embedded_sets import load_embedded, read_index
from harness.datasets.feature_files import load_features
from harness.datasets.file_set import FileDataset
from harness.datasets.halves import halve
from harness.datasets.imagenet import load_imagenet, load_variant
from harness.datasets.spec import ROOT_VARIABLE, DatasetSpec
from harness.datasets.split_set import load_split_set
from harness.errors import did_you_mean

GROUP = "harness.datasets"
"""Entry-point group of third parties' data sets: functions from a `DatasetSpec` to a `Dataset`."""


def load_dataset(spec: str | DatasetSpec) -> Dataset:
    """The data set that a name or a spec stands for; pixels are read later, on demand.

    Raises:
        DatasetError: unknown name (with the nearest known one), or files missing or malformed.
        HarnessError: a third party's file that does not import.
    """
    if isinstance(spec, str):
        spec = DatasetSpec(name=spec)
    dataset = _load(spec)
    if spec.oriented:
        if not isinstance(dataset, FileDataset):
            raise DatasetError(f"{spec.name}: oriented: only for images in files")
        dataset = dataclasses.replace(dataset, oriented=True)
    if spec.half is not None:
        dataset = halve(dataset, spec.half)
    templates = spec.templates or dataset.templates
    return dataclasses.replace(dataset, name=spec.name, templates=templates)


def describe_datasets() -> list[tuple[str, str]]:
    """(name, one line about it) of every known data set, for `harness list datasets`."""
    rows = []
    for name, entry in sorted(read_index().items()):
        about = f"embedded, {len(entry['class_names'])} classes: {entry.get('description', '')}"
        rows.append((name, about))
    for name, known in sorted(CATALOGUE.items()):
        about = (
            f"on disk, {known.classes} classes: {known.folders[0]}/ below root or ${ROOT_VARIABLE}"
        )
        rows.append((name, about))
    for name, plugin in sorted(registry.plugins(GROUP).items()):
        rows.append((name, f"third party: {plugin.value}"))
    return rows


def load_known(known: Known, root: Path, split: Path | None = None) -> Dataset:
    """A data set of the catalogue, from the folder of data sets' folders (or its own).

    Raises:
        DatasetError: its folder, images or lists are missing or malformed.
    """
    if known.split_file is not None:
        return load_split_set(known, root, split)
    if split is not None:
        raise DatasetError(f"{known.name}: takes no split file")
    if known.name == AIRCRAFT.name:
        return load_aircraft(known, root)
    return (load_imagenet if known.name == IMAGENET.name else load_variant)(known, root)


def root_of(spec: DatasetSpec) -> Path:
    """The spec's root, or $HARNESS_DATA.

    Raises:
        DatasetError: neither is given.
    """
    root = spec.root or os.environ.get(ROOT_VARIABLE)
    if not root:
        raise MissingData(
            f'"{spec.name}" needs images on disk: say where they are with '
            f"{{name: {spec.name}, root: FOLDER}} or set {ROOT_VARIABLE}"
        )
    return Path(root).expanduser()


def _load(spec: DatasetSpec) -> Dataset:
    name = spec.reference
    if spec.kind == "folder":
        how = Path(spec.split) if isinstance(spec.split, str) else spec.split
        return load_class_folders(name, root_of(spec), how, spec.classnames)
    split = Path(spec.split) if isinstance(spec.split, str) else None
    if spec.kind == "features":
        text = Path(spec.text) if spec.text else None
        return load_features(name, root_of(spec), text, spec.support, spec.classes == "named")
    if ".py:" in name or name in registry.plugins(GROUP):
        return _load_plugin(spec)
    if name in read_index():
        return load_embedded(name)
    if name in CATALOGUE:
        return load_known(CATALOGUE[name], root_of(spec), split)
    known = [*read_index(), *CATALOGUE, *registry.plugins(GROUP)]
    raise DatasetError(f'unknown data set "{name}"{did_you_mean(name, known)}')


def _load_plugin(spec: DatasetSpec) -> Dataset:
    dataset = registry.find(GROUP, spec.reference)(spec)
    if not isinstance(dataset, Dataset):
        raise DatasetError(
            f"{spec.reference} returned {type(dataset).__name__}, expected a harness Dataset"
        )
    return dataset
