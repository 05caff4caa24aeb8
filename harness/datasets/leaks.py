"""Images that stand in more than one split, or more than once: by path, and by content."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from harness.datasets.dataset import SPLITS, DatasetError, Item

Contents = Mapping[str, Sequence[bytes | str]]
"""By split, what stands for the content of each item, in the items' order."""


def refuse_shared_paths(name: str, splits: Mapping[str, Sequence[Item]]) -> None:
    """Raises DatasetError where one path is in two splits, or under two labels in one; how many
    there are, and the first."""
    seen: dict[str, tuple[str, int]] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for split, items in splits.items():
        for item in items:
            path = posixpath.normpath(item.impath)
            other, label = seen.setdefault(path, (split, item.label))
            if other != split:
                shared.setdefault((other, split), []).append(item.impath)
            elif label != item.label:
                raise DatasetError(
                    f"{name}: {item.impath} is in {split} with the labels {label} and {item.label}"
                )
    for (one, two), paths in shared.items():
        raise DatasetError(
            f"{name}: {len(paths):,} images are in {one} and in {two} ({paths[0]}): a split is no "
            "test of what it was trained or chosen on; take them out of one"
        )


def shared_contents(splits: Mapping[str, Sequence[Item]], contents: Contents) -> Iterator[str]:
    """A sentence for every pair of splits that share images of equal content, and for images of
    equal content under different labels."""
    for number, one in enumerate(SPLITS):
        for two in SPLITS[number + 1 :]:
            if one in contents and two in contents:
                yield from _between(one, two, splits, contents)
    yield from _contradictions(splits, contents)


def _between(
    one: str, two: str, splits: Mapping[str, Sequence[Item]], contents: Contents
) -> Iterator[str]:
    there = {content: number for number, content in enumerate(contents[one])}
    hits = [number for number, content in enumerate(contents[two]) if content in there]
    if hits:
        items, first = splits[two], hits[0]
        same = splits[one][there[contents[two][first]]].impath
        yield (
            f"{len(hits):,} of {len(items):,} {two} images have the content of {one} images "
            f"({items[first].impath} = {same})"
        )


def _contradictions(splits: Mapping[str, Sequence[Item]], contents: Contents) -> Iterator[str]:
    first: dict[bytes | str, Item] = {}
    found = []
    for split, hashes in contents.items():
        for item, content in zip(splits[split], hashes, strict=True):
            other = first.setdefault(content, item)
            if other.label != item.label:
                found.append((other, item))
    if found:
        one, two = found[0]
        yield (
            f"{len(found):,} images have the content of one of another class "
            f"({one.impath} = {two.impath})"
        )
