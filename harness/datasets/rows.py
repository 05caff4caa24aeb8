"""`Rows`: the items of a split whose images are rows of one array of features, made on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from harness.datasets.dataset import Item

_CHUNK = 2**16
"""Rows converted at a time: a million of them must not stand in memory as float32."""


@dataclass(frozen=True, eq=False)
class Rows(Sequence[Item]):
    """A sequence of items; a slice of it is one too. Holds a few bytes per image.

    The array may be a memory-mapped file of any float type: rows are read, and converted to
    float32, when they are asked for.
    """

    key: str
    """The arrays' prefix, which keeps an image apart from itself in another split."""
    array: NDArray[Any]
    """(m, d) features as they are in the file."""
    labels: NDArray[np.int64]
    """(n,)."""
    numbers: NDArray[np.int64]
    """(n,) each item's row of `array`."""
    names: tuple[str, ...]
    """Class names by label."""
    paths: NDArray[Any] | None = None
    """(m,) the images' own names; else they are numbered."""

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Item | Rows:
        labels, numbers = self.labels[index], self.numbers[index]
        if isinstance(index, slice):
            return Rows(self.key, self.array, labels, numbers, self.names, self.paths)
        return self._item(int(labels), int(numbers))

    def __iter__(self) -> Iterator[Item]:
        for start in range(0, len(self), _CHUNK):
            stop = start + _CHUNK
            labels, numbers = self.labels[start:stop].tolist(), self.numbers[start:stop].tolist()
            yield from map(self._item, labels, numbers)

    def restrict(self, keep: Sequence[int]) -> Rows:
        """The items of the labels `keep`, relabelled by their place in it."""
        new = np.full(len(self.names), -1, np.int64)
        new[list(keep)] = np.arange(len(keep))
        mask = new[self.labels] >= 0
        names = tuple(self.names[label] for label in keep)
        labels, numbers = new[self.labels[mask]], self.numbers[mask]
        return Rows(self.key, self.array, labels, numbers, names, self.paths)

    def number(self, impath: str) -> int | None:
        """The row of `array` that an item's path names; None where it is not of this split."""
        key, _, path = impath.partition("/")
        if key != self.key:
            return None
        if self._by_path is not None:
            return self._by_path.get(path)
        number = int(path) if path.isascii() and path.isdigit() else -1
        at = int(np.searchsorted(self.numbers, number))
        there = at < len(self) and self.numbers[at] == number and path == _numbered(number)
        return number if there else None

    def features(self) -> NDArray[np.float32]:
        """(n, d)."""
        return self.array[self.numbers].astype(np.float32, copy=False)

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """The features, some rows at a time."""
        for start in range(0, len(self), _CHUNK):
            yield self[start : start + _CHUNK].features()

    @cached_property
    def _by_path(self) -> dict[str, int] | None:
        if self.paths is None:
            return None
        return {str(self.paths[number]): number for number in self.numbers.tolist()}

    def _item(self, label: int, number: int) -> Item:
        path = _numbered(number) if self.paths is None else self.paths[number]
        return Item(f"{self.key}/{path}", label, self.names[label])


def _numbered(number: int) -> str:
    return f"{number:05d}"
