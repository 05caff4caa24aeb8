"""Downloading one file: resumed where it stopped, and taken only with the right checksum."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.datasets.dataset import DatasetError

Progress = Callable[[int, int | None], None]
"""Called as progress(bytes so far, bytes in all or None where the server does not say)."""

_CHUNK = 2**20
_TIMEOUT = 60.0
_PATTERN = re.compile(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})")


def download(
    url: str,
    path: Path,
    checksum: str,
    progress: Progress = lambda done, total: None,
    attempts: int = 5,
    wait: float = 1.0,
) -> None:
    """Fetch `url` to `path`. A file that is there with the right checksum is kept as it is.

    Bytes gather in `<path>.part`: after a broken connection, or in a later run, only the rest is
    asked for.

    Args:
        checksum: "sha256:…" or "md5:…" in lower-case hexadecimal digits.
        attempts: how often a broken connection is taken up again without any progress.
        wait: seconds before the second attempt, doubled at each further one.

    Raises:
        DatasetError: the server refuses, the connection stays broken, or the checksum is wrong
            (the file is then deleted).
    """
    if not _PATTERN.fullmatch(checksum):
        raise DatasetError(f'checksum "{checksum}": expected md5:… or sha256:… in hexadecimal')
    if not url.startswith(("http://", "https://")):
        raise DatasetError(f'"{url}": expected an address with http:// or https://')
    if path.is_file() and matches(path, checksum):
        return
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch_rest(url, part, progress)
            break
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise DatasetError(
                    f"{url}: the server answers {error.code} {error.reason}"
                ) from None
            problem: Exception = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
        failures = 1 if _size(part) > before else failures + 1
        if failures >= attempts:
            raise DatasetError(f"{url}: {problem}; {_what_now(part, path)}") from None
        time.sleep(wait * 2 ** (failures - 1))
    if not matches(part, checksum):
        part.unlink()
        raise DatasetError(
            f"{url}: the file's {checksum.partition(':')[0]} is not the known one "
            f"({checksum.partition(':')[2][:12]}…); it was deleted. Either the download was "
            f"damaged, or the source has changed"
        )
    part.replace(path)


def _what_now(part: Path, path: Path) -> str:
    """How to go on after a connection that stays broken."""
    if kept := _size(part):
        return f"{kept} bytes are kept in {part}: run the same command again to go on from there"
    return f"nothing came: check the connection, or fetch the file elsewhere and put it at {path}"


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has the checksum "md5:…" or "sha256:…"."""
    algorithm, _, wanted = checksum.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == wanted


def _fetch_rest(url: str, part: Path, progress: Progress) -> None:
    """Append what is missing; begin anew where the server cannot resume.

    Raises:
        OSError: also when the connection ends before the announced length.
    """
    done = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "harness"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not done:
            raise
        whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        error.close()
        if whole and int(whole[1]) == done:
            return  # everything was there already
        part.unlink()
        raise OSError("the part kept is longer than the file; beginning anew") from None
    with response:
        resumed = _resumed_at(response) == done and done > 0
        length = response.headers.get("Content-Length")
        done = done if resumed else 0
        total = done + int(length) if length and length.isdigit() else None
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _resumed_at(response: http.client.HTTPResponse) -> int | None:
    """The first byte of a partial answer; None where the whole file comes."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return None
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
