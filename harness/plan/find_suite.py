"""Suites by name: `fewshot` is the one that ships with the package, wherever it is installed."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError, did_you_mean

SHIPPED = Path(__file__).parents[1] / "suites"
SUFFIXES = (".yaml", ".yml")
_NUMBERS = "published"
"""The folder of papers' numbers, which reports read: no suites."""


def shipped() -> dict[str, Path]:
    """The package's own suites by name, such as "fewshot" and "search/rates"."""
    files = {path.relative_to(SHIPPED): path for path in sorted(SHIPPED.rglob("*.yaml"))}
    return {
        name.with_suffix("").as_posix(): path
        for name, path in files.items()
        if name.parts[0] != _NUMBERS
    }


def find_suite(word: str) -> Path:
    """The file that a path or a name stands for; a file that exists is always meant.

    A path without a file is returned as it is where nothing speaks for a name, so that its reader
    says what is wrong with it.

    Raises:
        HarnessError: an unknown name (with the nearest known one), or a path to a suite that is
            not there while one of its name ships with the package.
    """
    path, known = Path(word), shipped()
    if path.is_file():
        return path
    if path.suffix in SUFFIXES:
        if path.stem in known:
            raise HarnessError(f'{word}: no such file (the suite that ships is "{path.stem}")')
        return path
    if path.suffix or path.is_absolute():
        return path
    if word not in known:
        raise HarnessError(f'unknown suite "{word}"{did_you_mean(word, known)}, and no such file')
    return _relative(known[word])


def _relative(path: Path) -> Path:
    """As seen from the working folder where it lies below it: shorter in messages."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
