"""A suite file: YAML read into a frozen, validated `Suite`. Importable without torch.

Every error names the file, the line and the offending key, and suggests the nearest valid one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from harness.errors import HarnessError
from harness.plan.suite_model import MethodEntry, Suite
from harness.plan.yaml_lines import line_of, placed, read, refused
from harness.wording import Where

__all__ = ["MethodEntry", "Suite", "SuiteFile", "load_suite", "located"]


@dataclass(frozen=True)
class SuiteFile:
    """A suite together with where each of its keys stands, for errors found later on."""

    path: Path
    suite: Suite
    lines: dict[Where, int]

    def error(self, where: Where, message: str) -> HarnessError:
        """An error that names the file, the line and the place."""
        return HarnessError(placed(self.path, line_of(where, self.lines), where, message))


class located:
    """Adds file and line to a `ValueError` raised inside."""

    def __init__(self, suite: SuiteFile, where: Where) -> None:
        self._suite, self._where = suite, where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, ValueError):
            raise self._suite.error(self._where, str(error)) from None


def load_suite(path: Path) -> SuiteFile:
    """Read and validate a suite file.

    Raises:
        HarnessError: unreadable, not YAML, or not a suite; one line per problem.
    """
    data, lines = read(path)
    if not isinstance(data, dict):
        raise HarnessError(f"{path}:1: a suite is a mapping of keys such as backbone, datasets")
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        raise refused(path, lines, error, Suite.model_json_schema()) from None
    if not suite.name:
        suite = suite.model_copy(update={"name": path.stem})
    return SuiteFile(path, suite, lines)
