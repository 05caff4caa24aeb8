"""`Suite`: every key of a suite file, its type, its default and what it means.

docs/suites.md is written from these models and their docstrings (scripts/suite_reference.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from harness.backbones.spec import BackboneSpec
from harness.classes import check_templates
from harness.datasets.spec import DatasetSpec
from harness.features.augment import AugmentSpec
from harness.protocols import LabelAccess, access_of
from harness.wording import or_name, quoted

Protocol = Literal["fixed", "val_search", "oracle"]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]


def _as_text(value: Any) -> Any:
    """A whole number, such as a year, where text is meant; YAML cannot tell."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _a_line(value: str) -> str:
    """What stands in tables and names of files: one line that can be seen."""
    if value and not (value.strip() and value.isprintable()):
        raise ValueError(f"{quoted(value)}: expected one line of signs that can be seen")
    return value


Templates = Annotated[tuple[str, ...] | None, AfterValidator(check_templates)]
Text = Annotated[str, BeforeValidator(_as_text)]
Label = Annotated[str, BeforeValidator(_as_text), AfterValidator(_a_line)]
LARGEST = 2**31 - 1
"""Of shots and seeds: what every table and random generator holds."""


LISTS = ("datasets", "shots", "seeds", "methods", "retention", "templates", "measures")
"""Keys of a suite whose value is a list, or its only item."""


def _is_single(value: Any) -> bool:
    return value is not None and not isinstance(value, list | tuple)


def _or_item(schema: dict[str, Any]) -> None:
    """For the schema of a suite: a list's only item may stand for it."""
    for key in LISTS:
        found = schema["properties"][key]
        options = found.pop("anyOf", [{k: found.pop(k) for k in ("type", "items") if k in found}])
        items = [option["items"] for option in options if "items" in option]
        found["anyOf"] = items + options


class MethodEntry(BaseModel):
    """One entry of `methods`; its name alone stands for a mapping with nothing but the name."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, json_schema_extra=or_name
    )

    name: str
    """A registered name, or `path/to/file.py:Class` (relative to the suite file)."""
    label: Label | None = None
    """What reports call its row; by default its name, and the values of its grid."""
    config: dict[str, Any] = {}
    """Settings that differ from the method's defaults. A list is a grid: a row for each value."""
    search: dict[str, list[Any]] | None = None
    """Under `val_search` and `oracle`: the candidates of each setting that is chosen, in place of
    the method's own; `{}` chooses nothing."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) == 1 and (key := next(iter(value))) != "name":
            if value[key] is None or isinstance(value[key], dict):
                raise ValueError(f"{quoted(value)}: write {{name: {key}, config: {{…}}}}")
        return {"name": value} if isinstance(value, str) else value


class ReportEntry(BaseModel):
    """What a report shows beside the parts that every report has."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    parts: tuple[str, ...] = ()
    """Registered names, or `path/to/file.py:Class` (relative to the suite file), in order."""

    @field_validator("parts", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Limit(BaseModel):
    """What a cell may take."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    minutes_per_cell: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """A cell that takes longer, loading and search included, fails with the kind `time` and the
    rest goes on. The serial executor can end one only between two steps of Python."""


class SamplerEntry(BaseModel):
    """How images are drawn; the name alone stands for a mapping with nothing but the name."""

    model_config = ConfigDict(
        frozen=True, extra="allow", use_attribute_docstrings=True, json_schema_extra=or_name
    )

    name: str
    """`coop`, `clip_lora`, `path/to/file.py:Class`, or `file:PATH` of a draw (see
    [protocols](protocols.md)), relative to the suite file; `{shots}` and `{seed}` in PATH are
    filled in. Further keys are the sampler's options."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """Every key but the name."""
        return dict(self.model_extra or {})


class Suite(BaseModel):
    """A grid: one backbone, data sets × shots × seeds × methods, under one protocol."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, json_schema_extra=_or_item
    )

    name: Label = ""
    """Of the report and its folder; by default the file's."""
    description: Text = ""
    """What the suite asks, in a sentence; stands above its report."""
    backbone: BackboneSpec
    """The model that every method adapts."""
    datasets: tuple[DatasetSpec, ...]
    """The data sets to adapt to and to be tested on."""
    shots: tuple[Count, ...]
    """K: how many images of each class a method sees."""
    seeds: tuple[Seed, ...]
    """One draw of the support set for each."""
    methods: tuple[MethodEntry, ...]
    """The rows of the report."""
    protocol: Protocol = "fixed"
    """Who sees which labels: `fixed`, the support set only; `val_search` chooses hyper-parameters
    on a few validation images; `oracle` on the test set, which is flagged and never ranked."""
    val: Literal["few_shot", "full"] = "few_shot"
    """Under `val_search`: `few_shot` chooses on min(K, 4) images per class of the val split;
    `full` on the whole split, which is many more labels than the shots: marked wherever it
    appears, and never ranked beside rows that had fewer."""
    setting: Literal["all_classes", "base_to_new"] = "all_classes"
    """`base_to_new`: adapt to the first half of each data set's classes, and be tested on either
    half; the new half stands among the retention sets."""
    sampler: SamplerEntry = SamplerEntry(name="coop")
    """How the images of a draw are chosen."""
    templates: Templates = None
    """Prompt templates for every data set; by default each data set's own."""
    retention: tuple[DatasetSpec, ...] = ()
    """Data sets on which forgetting is measured; a cell skips the one it adapts to."""
    augment: AugmentSpec | None = None
    """How support images are cropped and flipped for training; by default what fits each data set:
    mild crops and no mirroring of the embedded ones, the defaults below of all others."""
    precision: Literal["fp32", "bf16", "fp16-amp"] = "fp32"
    """Of the encoders' arithmetic; weights stay float32."""
    reference: Text | None = None
    """The label of the row that the report pairs the others with, draw by draw; by default that of
    the frozen model: the first row that uses no support set."""
    report: ReportEntry = ReportEntry()
    """What the report shows beside the parts that every report has."""
    keep_logits: Flag = False
    """Keep what was scored beside each record, so that `harness score` can compute new measures."""
    measures: tuple[str, ...] = ()
    """Measures beside those that every record carries: registered names, or
    `path/to/file.py:function`. They are part of a cell's identity; `keep_logits` and
    `harness score` add one without running cells again."""
    limit: Limit = Limit()
    """What a cell may take. It changes no number, so it is not part of a cell's id."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """A single value for a list; keys that begin with `x-` hold anchors and mean nothing."""
        if not isinstance(value, dict):
            return value
        kept = {k: v for k, v in value.items() if not str(k).startswith("x-")}
        return {k: [v] if k in LISTS and _is_single(v) else v for k, v in kept.items()}

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if value.startswith(".") or any(sign in value for sign in "/\\\0"):
            raise ValueError("it names the report's folder: no / or \\ in it, no . before it")
        if len(value.encode()) > 200:
            raise ValueError(f"{quoted(value)}: it names the report's folder: at most 200 bytes")
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
        if max(value, default=0) > LARGEST:
            raise ValueError(f"{max(value)}: expected at most {LARGEST}")
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


def _distinct(value: tuple[Any, ...], names: list[Any]) -> tuple[Any, ...]:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"listed twice: {', '.join(twice)}")
    return value
