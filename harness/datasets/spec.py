"""`DatasetSpec`: which data set, as a suite says it. Importable without torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.classes import check_templates
from harness.datasets.catalogue import CATALOGUE
from harness.datasets.dataset import MissingData
from harness.datasets.made_split import MadeSplit
from harness.registry import absolute
from harness.wording import or_name

Kind = Literal["folder", "features"]

ROOT_VARIABLE = "HARNESS_DATA"
"""Environment variable with the folder that holds the data sets' folders."""


class DatasetSpec(BaseModel):
    """A data set and where it lies.

    In a suite: the name of an embedded set (`digits`); a known set (`dtd`, `imagenet_v2`) found
    below `root` or $HARNESS_DATA; `{name: mine, kind: folder, root: …}` for class folders;
    `{name: mine, kind: features, root: file.npz, text: text.npz}` for pre-computed features; or a
    third party's registered name or `path/to/file.py:function`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, json_schema_extra=or_name
    )

    name: str = Field(min_length=1)
    """How records and reports call it; selects the data set unless `kind` or `uses` does."""
    uses: str | None = None
    """A third party's registered name or `path/to/file.py:function`, when `name` is a label."""
    kind: Kind | None = None
    """`folder`: class folders of images; `features`: a file of pre-computed features."""
    root: str | None = None
    """Folder of the data sets, or of this one; the `.npz` file for features. `$VARIABLES` work."""
    split: str | MadeSplit | None = None
    """A split file to use instead of the data set's own; or, for class folders that have none, a
    split to be made: `{seed: 1, test: 0.3, val: 0.2}`."""
    classnames: dict[str, Annotated[str, Field(min_length=1)]] = {}
    """Folders: names of classes, by folder or by their name in the split file."""
    oriented: bool = False
    """Turn images as their EXIF orientation says; CLIP's own preprocessing does not."""
    templates: Annotated[tuple[str, ...] | None, AfterValidator(check_templates)] = None
    """Prompt templates instead of the data set's own."""
    text: str | None = None
    """Features: `.npz` with text features (`names`, `emb`)."""
    support: int | None = Field(default=None, strict=True, ge=1)
    """Features: the K of the `trainK_x` that serves as training split (default: the largest)."""
    classes: Literal["all", "named"] = "all"
    """Features: `named` keeps the classes that have a text feature."""
    half: Literal["base", "new"] | None = None
    """Only the base or the new half of the classes (see `harness.datasets.halves`)."""
    options: dict[str, Any] = {}
    """Whatever a third party's function takes."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> DatasetSpec:
        if self.kind is not None and self.uses is not None:
            raise ValueError("give either kind or uses, not both")
        if self.kind is not None and self.root is None:
            what = "the folder with the class folders" if self.kind == "folder" else "the .npz file"
            raise ValueError(f"kind {self.kind} needs root: {what}")
        for key, only in (("classnames", self.classnames), ("split", self._makes_split)):
            if only and self.kind != "folder":
                raise ValueError(
                    f"{key}: {'' if key == 'classnames' else 'to be made: '}only for kind: folder"
                )
        for key, given in (
            ("text", self.text is not None),
            ("support", self.support is not None),
            ("classes", self.classes != "all"),
        ):
            if given and self.kind != "features":
                raise ValueError(f"{key}: only for kind: features")
        return self

    @property
    def _makes_split(self) -> bool:
        return isinstance(self.split, MadeSplit)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def reference(self) -> str:
        """What selects the data set: `uses` where it is given, else the name."""
        return self.uses or self.name

    def resolve(self, base: Path) -> DatasetSpec:
        """The spec with its paths made absolute, relative ones from the folder `base`.

        $HARNESS_DATA becomes the root of a known set here, so that workers on other machines
        need not have it in their environment.

        Raises:
            MissingData: a path names an environment variable that is not set.
        """
        paths: dict[str, Any] = {key: _absolute(getattr(self, key), base) for key in _PATHS}
        if isinstance(self.split, str):
            paths["split"] = _absolute(self.split, base)
        if paths["root"] is None and self.reference in CATALOGUE and ROOT_VARIABLE in os.environ:
            paths["root"] = _absolute(os.environ[ROOT_VARIABLE], Path.cwd())
        uses = self.uses and absolute(self.uses, base)
        if uses is None and ".py:" in self.name:
            uses = absolute(self.name, base)
        return self.model_copy(update={**paths, "uses": uses})


_PATHS = ("root", "text")


def _absolute(path: str | None, base: Path) -> str | None:
    if path is None:
        return None
    expanded = os.path.expanduser(os.path.expandvars(path))
    if "$" in expanded:
        raise MissingData(
            f'"{path}": the environment variable in it is not set: export it, or write the path'
        )
    return str((base / expanded).resolve())
