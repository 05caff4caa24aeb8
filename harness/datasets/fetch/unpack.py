"""Unpacking archives from the network: nothing leaves the folder, nothing outgrows its limits."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from harness.datasets.dataset import DatasetError

_CHUNK = 2**20
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    RuntimeError,  # zipfile: an encrypted member
    NotImplementedError,  # zipfile: an unknown compression
)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to."""

    files: int = 1_000_000
    byte_count: int = 50 * 2**30

    @classmethod
    def of(cls, archive: Path) -> Limits:
        """Photographs hardly compress: four times the archive and 1 GiB more is ample."""
        return cls(byte_count=4 * archive.stat().st_size + 2**30)


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpack a .zip or .tar (also compressed) so that its top-level entries lie in `folder`.

    Only files and folders are made, with plain permissions. Folders that are there already are
    joined, files never overwritten; after an error nothing of the archive is left.

    Raises:
        DatasetError: not an archive, or damaged; a path that leaves the folder; a link or device;
            a file twice; more files or bytes than the limits; or an entry that is already there.
    """
    limits = limits or Limits.of(archive)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        with _readable(archive):
            _write_all(archive, scratch, limits)
        moves = list(_moves(scratch, folder))
        for _, target in moves:
            if target.exists():
                raise DatasetError(f"{target}: already there; move it away and try again")
        for source, target in moves:
            source.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_all(archive: Path, scratch: Path, limits: Limits) -> None:
    files = written = 0
    for name, stream in _members(archive):
        target = scratch / _safe(name, archive)
        if stream is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        files += 1
        if files > limits.files:
            raise DatasetError(f"{archive}: more than {limits.files} files: not unpacked")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as out:
                while chunk := stream.read(_CHUNK):
                    written += len(chunk)
                    if written > limits.byte_count:
                        raise DatasetError(
                            f"{archive}: unpacks to more than {limits.byte_count} bytes "
                            f"(at {name}): not unpacked"
                        )
                    out.write(chunk)
        except FileExistsError:
            raise DatasetError(f'{archive}: "{name}" is in it twice') from None
    if not files:
        raise DatasetError(f"{archive}: no file in it")


def _moves(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """What to rename so that `source`'s entries lie in `target`, joining folders that are there."""
    for entry in sorted(os.listdir(source)):
        here, there = source / entry, target / entry
        if here.is_dir() and there.is_dir():
            yield from _moves(here, there)
        else:
            yield here, there


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each file, name and None of each folder."""
    return _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise DatasetError(f"{archive}: damaged, or not a .zip or .tar: {error}") from None


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DatasetError(f'{archive}: "{info.filename}" is a link or device')
            if info.is_dir():
                yield info.filename, None
            else:
                with file.open(info) as stream:
                    yield info.filename, stream


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(archive) as file:
        for info in file:
            if info.isdir():
                yield info.name, None
            elif info.isreg():
                stream = file.extractfile(info)
                assert stream is not None
                with stream:
                    yield info.name, stream
            else:
                raise DatasetError(f'{archive}: "{info.name}" is a link or device')


def _safe(name: str, archive: Path) -> PurePosixPath:
    """The member's relative path.

    Raises:
        DatasetError: it is absolute, or climbs out of the folder.
    """
    path = PurePosixPath(name)
    wrong = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name.split("/")[0]
    if wrong or "\0" in name:
        raise DatasetError(f'{archive}: "{name}" leaves the folder: not unpacked')
    return path
