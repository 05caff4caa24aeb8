"""A suite file: YAML read into a frozen, validated `Suite`. Importable without torch.

Every error names the file, the line and the offending key, and suggests the nearest valid one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.backbones.spec import BackboneSpec
from harness.datasets.spec import DatasetSpec
from harness.errors import HarnessError, did_you_mean
from harness.features.augment import AugmentSpec
from harness.plan.yaml_lines import Where, line_of, read, show
from harness.protocols import LabelAccess, access_of

Protocol = Literal["fixed", "val_search", "oracle"]
Count = Annotated[int, Field(strict=True, gt=0)]
Seed = Annotated[int, Field(strict=True, ge=0)]


class MethodEntry(BaseModel):
    """One entry of `methods`: a method, its label in reports, and what differs from its defaults.

    A list in `config` (for a setting that is not itself a list) is a grid: one variant per value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """A registered name, or `path/to/file.py:Class` (relative to the suite file)."""
    label: str | None = None
    config: dict[str, Any] = {}
    search: dict[str, list[Any]] | None = None
    """Replaces the method's own search space under `val_search` and `oracle`."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Suite(BaseModel):
    """A grid: one backbone, data sets × shots × seeds × methods, under one protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    description: str = ""
    backbone: BackboneSpec
    datasets: tuple[DatasetSpec, ...]
    shots: tuple[Count, ...]
    seeds: tuple[Seed, ...]
    methods: tuple[MethodEntry, ...]
    protocol: Protocol = "fixed"
    val: Literal["few_shot", "full"] = "few_shot"
    """Under `val_search`: `few_shot` chooses on min(K, 4) images per class of the val split;
    `full` on the whole split, which is many more labels than the shots: marked wherever it
    appears, and never ranked beside rows that had fewer."""
    setting: Literal["all_classes", "base_to_new"] = "all_classes"
    """`base_to_new`: adapt to the first half of each data set's classes, and be tested on either
    half; the new half stands among the retention sets."""
    sampler: str = "coop"
    """`coop`, `clip_lora`, or `file:PATH` of a draw in JSON Lines, relative to the suite file;
    `{shots}` and `{seed}` in PATH are filled in."""
    templates: tuple[str, ...] | None = None
    """Prompt templates for every data set; by default each data set's own."""
    retention: tuple[DatasetSpec, ...] = ()
    """Data sets on which forgetting is measured; a cell skips the one it adapts to."""
    augment: AugmentSpec = AugmentSpec()
    precision: Literal["fp32", "bf16", "fp16-amp"] = "fp32"
    keep_logits: bool = False

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if value.startswith(".") or any(sign in value for sign in "/\\\0"):
            raise ValueError("it names the report's folder: no / or \\ in it, no . before it")
        return value

    @field_validator("datasets", "shots", "seeds", "methods")
    @classmethod
    def _not_empty(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("the grid is empty: list at least one")
        return value

    @field_validator("datasets", "retention")
    @classmethod
    def _distinct_sets(cls, value: tuple[DatasetSpec, ...]) -> tuple[DatasetSpec, ...]:
        return _distinct(value, [spec.name for spec in value])

    @field_validator("shots", "seeds")
    @classmethod
    def _distinct_numbers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _distinct(value, list(value))

    @model_validator(mode="after")
    def _val_is_searched(self) -> Suite:
        if self.val == "full" and not self.access.sees_val:
            raise ValueError(
                f"val: full is only for protocol: val_search (found protocol: {self.protocol})"
            )
        return self

    @property
    def access(self) -> LabelAccess:
        """Which labels its methods see: under `val: full` that of "val_full", a name of its own."""
        return access_of(self.protocol, whole_val=self.val == "full")

    @field_validator("templates")
    @classmethod
    def _one_slot(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for template in value or ():
            if template.count("{}") != 1:
                raise ValueError(f'template "{template}" needs exactly one "{{}}" for the name')
        if value == ():
            raise ValueError("give at least one template, or leave the key out")
        return value


def _distinct(value: tuple[Any, ...], names: list[Any]) -> tuple[Any, ...]:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"listed twice: {', '.join(twice)}")
    return value


@dataclass(frozen=True)
class SuiteFile:
    """A suite together with where each of its keys stands, for errors found later on."""

    path: Path
    suite: Suite
    lines: dict[Where, int]

    def error(self, where: Where, message: str) -> HarnessError:
        """An error that names the file, the line and the place."""
        return _error(self.path, self.lines, where, message)


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
        # Unknown keys first: a misspelt key is also reported as missing.
        found = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        problems = [_explain(path, lines, problem) for problem in found]
        raise HarnessError("\n".join(dict.fromkeys(problems))) from None
    if not suite.name:
        suite = suite.model_copy(update={"name": path.stem})
    return SuiteFile(path, suite, lines)


def _explain(path: Path, lines: dict[Where, int], problem: Any) -> str:
    where: Where = tuple(problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(where[:-1])
        message = f'unknown key "{where[-1]}"{did_you_mean(str(where[-1]), known)}'
        return str(_error(path, lines, where, message, shown=where[:-1]))
    if problem["type"] == "missing":
        return str(_error(path, lines, where[:-1], f'the key "{where[-1]}" is missing'))
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    if isinstance(given, str | int | float | bool) or given is None:
        message += f" (found {given!r})"
    return str(_error(path, lines, where, message))


def _fields_at(where: Where) -> list[str]:
    """The keys that the model at this place of a suite knows."""
    model: Any = Suite
    for part in where:
        if isinstance(part, str) and part in getattr(model, "model_fields", {}):
            annotation = model.model_fields[part].annotation
            arguments = [a for a in getattr(annotation, "__args__", ()) if a is not Ellipsis]
            model = next((a for a in arguments if hasattr(a, "model_fields")), annotation)
    return list(getattr(model, "model_fields", {}))


def _error(
    path: Path, lines: dict[Where, int], where: Where, message: str, shown: Where | None = None
) -> HarnessError:
    place = show(where if shown is None else shown)
    return HarnessError(f"{path}:{line_of(where, lines)}: {place + ': ' if place else ''}{message}")
