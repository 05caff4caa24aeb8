"""Data sets: named classes, splits of labelled items, pixels or pre-computed features."""

from harness.datasets.dataset import SPLITS, Dataset, DatasetError, Item
from harness.datasets.load import describe_datasets, load_dataset
from harness.datasets.spec import DatasetSpec

__all__ = [
    "SPLITS",
    "Dataset",
    "DatasetError",
    "DatasetSpec",
    "Item",
    "describe_datasets",
    "load_dataset",
]
