"""`BackboneSpec`: which model with which weights, as a suite says it. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.backbones.folders import about_folder
from harness.errors import HarnessError, NotHere
from harness.wording import or_name

EMBEDDED = "glyphs"
HUB = "hf-hub:"
RANDOM = "random"
LOCAL = "local-dir:"
"""How open_clip names a folder that holds a model; refused here, with the way that works."""


class BackboneError(HarnessError):
    """A backbone that cannot be loaded as asked for; the message says what to do about it."""


class MissingWeights(BackboneError, NotHere):
    """Weights that are named rightly and are not on this machine."""


@dataclass(frozen=True)
class Parts:
    """What a backbone is made of: an open_clip model, its tokenizer, mean, std, resize mode."""

    model: Any
    tokenizer: Any
    preprocess: dict[str, Any]
    fingerprint: str


class BackboneSpec(BaseModel):
    """A model and its weights.

    In a suite: `glyphs` (the embedded model), `{model: ViT-B-16-quickgelu, pretrained: openai}`,
    `hf-hub:org/name`, the name of a third-party backbone, or a local file of weights under
    `checkpoint`. `{model: ViT-B-16, pretrained: random}` has the real architecture and random
    weights, for tests and dry runs. `{features: ViT-B-32, feature_dim: 512, logit_scale: 100}` says
    which model pre-computed features come from; nothing is loaded.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, json_schema_extra=or_name
    )

    model: str = ""
    """An open_clip architecture, `hf-hub:org/name`, or a registered name."""
    pretrained: str | None = None
    """open_clip's tag of the weights, or `random`."""
    checkpoint: Path | None = None
    """A local `.safetensors` or state-dict file; with `pretrained`, of that tag's weights."""
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    """Of random weights."""
    features: str | None = Field(default=None, min_length=1)
    """In place of `model`: what reports call the model that the data sets' features come from."""
    feature_dim: Annotated[int, Field(strict=True, ge=1)] | None = None
    """With `features`: d, their width."""
    logit_scale: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """With `features`: τ, the factor on cosine similarities; 100 for OpenAI's CLIP."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> BackboneSpec:
        if self.features is not None:
            return self._described()
        if not self.model:
            raise ValueError('the key "model" is missing (for pre-computed features: "features")')
        for key in ("feature_dim", "logit_scale"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: only with features; a model brings its own")
        if self.seed and self.pretrained != RANDOM:
            raise ValueError("seed: only for pretrained: random")
        if self.checkpoint is not None and self.pretrained == RANDOM:
            raise ValueError("give either a checkpoint or pretrained: random, not both")
        whole = self.model == EMBEDDED or self.model.startswith(HUB)
        if whole and (self.pretrained or self.checkpoint):
            raise ValueError(f'"{self.model}" brings its own weights: leave the other keys out')
        return self

    def _described(self) -> BackboneSpec:
        """The spec of a model that is described and not loaded, if it says all that is needed."""
        for key in ("model", "pretrained", "checkpoint", "seed"):
            if getattr(self, key):
                raise ValueError(f"{key}: not with features, where nothing is loaded")
        for key, example in (("feature_dim", 512), ("logit_scale", 100)):
            if getattr(self, key) is None:
                raise ValueError(f'the key "{key}" is missing beside features, such as {example}')
        return self

    @property
    def name(self) -> str:
        """How records and reports call it, such as `ViT-B-16-quickgelu/openai`.

        Part of a cell's identity, so it holds no folder: of a file, only the file's name.
        """
        if self.features is not None:
            return f"{self.features} (features)"
        if ".py:" in self.model:
            return self.model.replace("\\", "/").rpartition("/")[2]
        if self.pretrained == RANDOM:
            return f"{self.model}/random-{self.seed}"
        if self.pretrained is not None:
            return f"{self.model}/{self.pretrained}"
        return self.model if self.checkpoint is None else f"{self.model}/{self.checkpoint.name}"

    def resolve(self, base: Path) -> BackboneSpec:
        """The same with `checkpoint`, and a model given as `file.py:function`, made absolute.

        Raises:
            BackboneError: the model is a folder; the message says what to write instead.
        """
        from harness.registry import absolute

        self._refuse_folder(base)
        changes: dict[str, Any] = {"model": absolute(self.model, base)}
        if self.checkpoint is not None:
            changes["checkpoint"] = (base / self.checkpoint.expanduser()).resolve()
        return self.model_copy(update=changes)

    def _refuse_folder(self, base: Path) -> None:
        path = (base / Path(self.model.removeprefix(LOCAL)).expanduser()).resolve()
        looks = self.model.startswith((LOCAL, ".", "/", "~"))
        if self.model and path.is_dir() and (looks or "/" in self.model):
            raise BackboneError(about_folder(path))
        if self.model.startswith(LOCAL):
            raise BackboneError(
                f"{self.model}: a folder by {LOCAL} is not read here; write "
                "{model: ARCHITECTURE, checkpoint: PATH} with open_clip's name of the architecture"
            )


def describe_backbones() -> list[tuple[str, str]]:
    """(how a suite names it, what it is) for every kind of backbone, for `harness list`."""
    from harness.registry import plugins

    rows = [(EMBEDDED, "embedded: a small CLIP of glyphs and their names, 32 × 32 pixels")]
    rows += [(name, entry.value) for name, entry in plugins("harness.backbones").items()]
    rows += [
        ("{model: ViT-B-16-quickgelu, pretrained: openai}", "any open_clip model and tag"),
        ("hf-hub:ORG/NAME", "an open_clip model from the Hugging Face hub"),
        ("{model: ViT-B-16, checkpoint: PATH}", "weights from a local file"),
        ("{model: ViT-B-16, pretrained: random}", "random weights, for tests and dry runs"),
        (
            "{features: ViT-B-32, feature_dim: 512, logit_scale: 100}",
            "no model: data sets bring its features",
        ),
    ]
    return rows
