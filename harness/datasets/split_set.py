"""The nine data sets of CoOp's eleven that come with a split file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.datasets.catalogue import Known
from harness.datasets.dataset import DatasetError, Item, MissingData
from harness.datasets.file_set import FileDataset, find_folder, find_images
from harness.datasets.split_file import read_split
from harness.errors import few

_CALTECH = {
    "airplanes": "airplane",
    "Faces": "face",
    "Leopards": "leopard",
    "Motorbikes": "motorbike",
}
_EUROSAT = {
    "AnnualCrop": "Annual Crop Land",
    "Forest": "Forest",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "River": "River",
    "SeaLake": "Sea or Lake",
}


def load_split_set(known: Known, root: Path, split: Path | None = None) -> FileDataset:
    """A data set in CoOp's layout. Items are in the split file's order, paths as written there.

    Args:
        root: folder of the data sets' folders, or the data set's own.
        split: a split file instead of the data set's own.

    Raises:
        DatasetError: no folder, no images, or a bad split file.
    """
    folder = find_folder(known, root)
    images = find_images(known, folder)
    path = split or folder / str(known.split_file)
    if not path.is_file():
        raise MissingData(
            f"{known.name}: no split file {path}: CoOp's DATASETS.md "
            f"(github.com/KaiyangZhou/CoOp) says where to get {known.split_file}"
        )
    splits = read_split(path)
    return FileDataset(
        name=known.name,
        class_names=names_in_label_order(known, splits, path),
        templates=(known.template,),
        splits=splits,
        source=known.source,
        licence=known.licence,
        images=images,
    )


def names_in_label_order(
    known: Known, splits: Mapping[str, Iterable[Item]], path: Path
) -> tuple[str, ...]:
    """The cleaned class names, by label.

    Raises:
        DatasetError: a label has two names, or labels are left out.
    """
    names: dict[int, str] = {}
    for items in splits.values():
        for item in items:
            name = names.setdefault(item.label, item.classname)
            if name != item.classname:
                raise DatasetError(f'{path}: label {item.label} is "{name}" and "{item.classname}"')
    gaps = sorted(set(range(max(names) + 1)) - set(names))
    if gaps:
        raise DatasetError(
            f"{path}: no item has label {few(map(str, gaps), 3)}, but the highest is {max(names)}"
        )
    return tuple(clean(known.name, names[label]) for label in sorted(names))


def clean(dataset: str, name: str) -> str:
    """A class name as it stands in prompts; a name already cleaned stays as it is.

    Published split files have clean names but for the underscores; raw folder names come out the
    same: Caltech's and EuroSAT's are renamed, Cars' year moves first, UCF's CamelCase is split.
    """
    if dataset == "caltech101":
        name = _CALTECH.get(name, name)
    elif dataset == "eurosat":
        name = _EUROSAT.get(name, name)
    elif dataset == "stanford_cars":
        name = re.sub(r"^(.*) (\d{4})$", r"\2 \1", name)
    elif dataset == "ucf101" and "_" not in name and " " not in name:
        name = "_".join(re.findall("[A-Z][^A-Z]*", name)) or name
    return name.replace("_", " ")
