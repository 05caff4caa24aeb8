"""Which of the classes adapted to are those of another data set."""

from __future__ import annotations

from harness.datasets.dataset import Dataset


def columns_of(target: Dataset, source: Dataset) -> tuple[int, ...] | None:
    """The label in `source` of each class of `target`, in its order; None unless all are there.

    Classes are told apart by `class_ids` where both data sets have them, else by their names,
    compared exactly. A name that stands twice in a list does not say which class is meant, so
    nothing is said then.
    """
    both = bool(target.class_ids and source.class_ids)
    wanted = target.class_ids if both else target.class_names
    there = source.class_ids if both else source.class_names
    labels = {name: label for label, name in enumerate(there)}
    if len(labels) < len(there) or len(set(wanted)) < len(wanted) or not set(wanted) <= set(labels):
        return None
    return tuple(labels[name] for name in wanted)
