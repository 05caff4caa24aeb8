"""Results on disk: one JSON file per cell, named by the cell's id, written atomically.

<root>/cells/<id>.json        finished cells (ok, or skipped with the reason)
<root>/failures/<id>.json     the last failure of a cell; never counts as done
<root>/logits/<id>.npz        what was scored (`harness.run.kept`), where the suite asks for it
<root>/quarantine/            files that turned out not to be whole records
<root>/cache/                 derived features; safe to delete
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.store.atomic import write_atomically, write_bytes
from harness.store.record import SCHEMA, CorruptRecord, LaterRecord, Record

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Contents:
    """What a store holds of the cells asked for."""

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Record] = field(default_factory=dict)
    corrupt: dict[Path, str] = field(default_factory=dict)
    """Files that are not whole records, and why."""
    later: dict[Path, str] = field(default_factory=dict)
    """Records of a later version, and how that shows: kept, and their cells are not run."""
    logits: set[str] = field(default_factory=set)
    """Ids of cells whose logits were kept."""


class OldStore(HarnessError):
    """A folder of results of an older schema."""


class Disagreement(HarnessError):
    """Two records of one id, which is said of everything that can change a number, differ."""


def difference(one: Record, other: Record) -> str:
    """The first thing in which two results of one cell differ, as `top1: 61.7 against 60.0`; ""
    where all numbers are equal. What they cost, and where they were made, may differ."""
    if one.metrics is not None and other.metrics is not None:
        for name, value in one.metrics.items():
            if value != other.metrics.get(name):
                return f"{name}: {value} against {other.metrics.get(name)}"
    for name in (
        "status",
        "metrics",
        "retention",
        "draw",
        "details",
        "search",
        "chosen",
        "earlier",
    ):
        if getattr(one, name) != getattr(other, name):
            return name
    return ""


class Store:
    """A folder of records. Creating the object touches nothing on disk.

    A record that was read once is kept, and read again only after its file changed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = root / "cells"
        self.failures = root / "failures"
        self.logits = root / "logits"
        self.cache = root / "cache"
        self._kept: dict[str, tuple[tuple[int, ...], Record]] = {}
        self._of_this_schema = False

    def load(self, ids: Iterable[str]) -> Contents:
        """The records and failures of these cells; corrupt files are reported, not raised.

        Raises:
            OldStore: the store is of an older result schema.
        """
        self.check_schema()
        wanted = list(ids)
        contents = Contents(logits=_ids_in(self.logits, ".npz"))
        finished, failed = _ids_in(self.cells), _ids_in(self.failures)
        with _no_collection():
            for cell_id in wanted:
                if cell_id in finished:
                    self._read_into(contents.records, contents, self.cells / f"{cell_id}.json")
                if cell_id in failed and cell_id not in contents.records:
                    self._read_into(contents.failures, contents, self.failures / f"{cell_id}.json")
        return contents

    def all(self) -> Contents:
        """Everything in the store, including cells of other suites and stale ones."""
        return self.load(sorted(_ids_in(self.cells) | _ids_in(self.failures)))

    def write(self, record: Record, kept: dict[str, NDArray[Any]] | None = None) -> None:
        """Keep a record, and the arrays of what was scored. A finished cell's earlier failure is
        removed.

        Raises:
            OSError: e.g. a full disk; no record was changed.
            OldStore: the store is of an older result schema.
            Disagreement: the cell is here with other numbers.
        """
        self.check_schema()
        self._check_equal(record)
        if kept is not None:
            import numpy as np

            arrays = kept
            write_atomically(
                self.logits / f"{record.id}.npz",
                lambda file: np.savez_compressed(file, **arrays),  # type: ignore[arg-type]
            )
        folder = self.failures if record.status == "failed" else self.cells
        write_bytes(folder / f"{record.id}.json", record.to_json().encode())
        if record.status != "failed":
            (self.failures / f"{record.id}.json").unlink(missing_ok=True)

    def _check_equal(self, record: Record) -> None:
        path = self.cells / f"{record.id}.json"
        if record.status == "failed" or not path.exists():
            return
        found = Contents()
        self._read_into(found.records, found, path)  # what is no record may be written over
        held = found.records.get(record.id)
        if held is not None and (what := difference(held, record)):
            raise Disagreement(
                f"{path}: the cell came to other numbers now ({what}), as it may on another kind "
                "of device or with other --threads; move the file away to have the new ones, or "
                "name another folder with --results"
            )

    def check_schema(self) -> None:
        """Whether the store's records are of this schema, told from one of them, once.

        Raises:
            OldStore: they are of an older one.
        """
        if self._of_this_schema:
            return
        files = chain(self.cells.glob("*.json"), self.failures.glob("*.json"))
        schema = next(filter(None, map(_schema_of, files)), None)
        if schema is not None and schema < SCHEMA:
            raise OldStore(
                f"{self.root}: holds results of schema {schema}, which are neither read nor "
                f"overwritten here (schema {SCHEMA}: ids say more): name another folder with "
                "--results, or move this one away and run again"
            )
        self._of_this_schema = schema is not None

    def quarantine(self, path: Path) -> Path:
        """Move a corrupt file out of the way, keeping it; returns its new place."""
        folder = self.root / "quarantine"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.name
        number = 1
        while target.exists():
            target = folder / f"{path.stem}.{number}{path.suffix}"
            number += 1
        os.replace(path, target)
        return target

    def _read_into(self, found: dict[str, Record], contents: Contents, path: Path) -> None:
        try:
            record = self._read(path)
        except LaterRecord as error:
            contents.later[path] = str(error)
        except (CorruptRecord, UnicodeDecodeError, OSError) as error:
            contents.corrupt[path] = str(error)
        else:
            found[record.id] = record

    def _read(self, path: Path) -> Record:
        name = str(path)
        stat = os.stat(name)
        # A record is only ever replaced as a whole, by a new file.
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
        kept, record = self._kept.get(name, (None, None))
        if record is None or kept != version:
            record = Record.from_json(path.read_bytes().decode("utf-8"))
            if record.id != path.stem:
                raise CorruptRecord(f"holds the record of another cell, {record.id}")
            self._kept[name] = (version, record)
        return record


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: thousands of new records, and not one of them garbage; nor
    are they looked through by any later one."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.enable()


def _schema_of(path: Path) -> int | None:
    """The schema that a file states; None where it is no record."""
    try:
        found = json.loads(path.read_bytes())["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if type(found) is int and found > 0 else None


def _ids_in(folder: Path, suffix: str = ".json") -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {e.name.removesuffix(suffix) for e in entries if e.name.endswith(suffix)}
    except FileNotFoundError:
        return set()
