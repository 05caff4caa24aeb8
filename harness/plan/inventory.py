"""Taking the inventory of a suite: its data sets, with their content, and the weights.

Done before cells are made; see `harness.plan.found`.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.backbones.prompt_limit import PromptLimit
from harness.backbones.spec import EMBEDDED, BackboneError, BackboneSpec
from harness.datasets.dataset import Dataset, DatasetError
from harness.datasets.embedded_sets import EmbeddedDataset
from harness.datasets.fetch.remedies import remedy
from harness.datasets.halves import halve
from harness.datasets.load import load_dataset
from harness.datasets.spec import DatasetSpec
from harness.errors import NotHere
from harness.plan.found import Found, FoundStage, Group, Inventory, Missing
from harness.plan.settings import SETTINGS, Part, Stage
from harness.plan.suite import SuiteFile, located
from harness.store.identity import (
    BackboneIdentity,
)
from harness.wording import Where, quoted


def take_inventory(suite: SuiteFile) -> Inventory:
    """Look for everything that a suite names. Image files are read once, to hash
    them, and never decoded.

    Raises:
        HarnessError: an unknown name, or data that cannot serve as asked for; with its line.
    """
    where: Where = ("backbone",)
    with located(suite, where):
        backbone = suite.suite.backbone.resolve(suite.path.parent)
        model = _model(backbone, suite.suite.precision, where)
    sets = _Sets(suite, backbone)
    groups = tuple(sets.groups())
    return Inventory(backbone, model, groups, sets.here)


def _model(spec: BackboneSpec, precision: str, where: Where) -> BackboneIdentity | Missing:
    from harness.backbones.preprocessing import preprocessing_of
    from harness.backbones.weights import is_open_clip, weights_fingerprint

    try:
        if is_open_clip(spec):
            from harness.backbones.load import architecture, check_weights

            # An unknown name or wrong activation is wrong wherever the suite runs; so is a file
            # that does not hold the model's weights.
            architecture(spec)
            if spec.checkpoint is not None:
                check_weights(spec)
        weights = weights_fingerprint(spec)
        return BackboneIdentity(spec.name, weights, precision, preprocessing_of(spec))
    except NotHere as error:
        remedy = "plan once while connected, or name a local file: backbone: {…, checkpoint: PATH}"
        if spec.checkpoint is not None:
            remedy = f"put the file there, or mend the path: {spec.checkpoint}"
        return Missing(f"weights {spec.name}", where, str(error), remedy)


class _Sets:
    """The data sets of a suite, each looked for once."""

    def __init__(self, suite: SuiteFile, backbone: BackboneSpec) -> None:
        self._suite = suite
        self._limit = PromptLimit(backbone)
        self._seen: dict[DatasetSpec, Dataset | Missing] = {}

    @property
    def here(self) -> tuple[Dataset, ...]:
        """Those looked for that are here."""
        return tuple(data for data in self._seen.values() if isinstance(data, Dataset))

    def groups(self) -> Iterator[Group]:
        given = self._suite.suite
        held_out = [
            (spec.name, self._retention(spec, ("retention", position)))
            for position, spec in enumerate(given.retention)
        ]
        # By name: in which order a suite lists them changes no number, so it must change no id.
        in_order = sorted(held_out, key=lambda named: named[0])
        for position, spec in enumerate(given.datasets):
            others = [found for name, found in in_order if name != spec.name]
            yield self._group(spec, ("datasets", position), others)

    def _group(self, spec: DatasetSpec, where: Where, others: list[Found | Missing]) -> Group:
        asked = SETTINGS[self._suite.suite.setting](spec)
        stages, missing = [], dict[Missing, None]()
        for stage in asked:
            every = [*self._stage(stage, where), *others]
            missing |= dict.fromkeys(found for found in every if isinstance(found, Missing))
            here = [found for found in every if isinstance(found, Found)]
            if len(here) == len(every):
                stages.append(FoundStage(here[0], tuple(here[1:])))
        return Group(asked, () if missing else tuple(stages), tuple(missing))

    def _stage(self, stage: Stage, where: Where) -> Iterator[Found | Missing]:
        sees_val = self._suite.suite.access.sees_val
        yield self._found(stage.adapt, where, ("train", *(["val"] * sees_val), "test"))
        for part in stage.held_out:
            yield self._found(part, where, ("test",))

    def _retention(self, spec: DatasetSpec, where: Where) -> Found | Missing:
        found = self._found(Part(spec), where, ("test",))
        if isinstance(found, Found) and not found.data.has_pixels:
            raise self._suite.error(
                where,
                f"{spec.name}: pre-computed features cannot serve as a retention set: no encoder "
                "can be adapted and run on them",
            )
        return found

    def _found(self, part: Part, where: Where, splits: tuple[str, ...]) -> Found | Missing:
        """A part of a data set, with the `splits` that its place in the suite takes."""
        with located(self._suite, where):
            data = self._whole(part.whole, where)
            if isinstance(data, Missing):
                return data
            resolved = part.of(part.whole.resolve(self._suite.path.parent))
            if part.half is not None:
                data = halve(data, part.half)
            for split in splits:
                data.items(split)  # raises where there is none
            check_fits(self._suite.suite.backbone, data)
            own = self._suite.suite.templates is None and part.whole.templates is None
            shipped = own and self._suite.suite.backbone.model == EMBEDDED
            if not (shipped and isinstance(data.whole, EmbeddedDataset)):  # which fit one another
                self._check_prompts(data)
            return Found(part, resolved, data, self._suite.suite.templates or data.templates)

    def _check_prompts(self, data: Dataset) -> None:
        """Refuse prompts that the backbone cannot read, before any cell does."""
        templates = self._suite.suite.templates or data.templates
        found = list(self._limit.too_long(data.class_names, templates))
        if found:
            first = found[0]
            others = f" (and {len(found) - 1:,} more classes)" if len(found) > 1 else ""
            raise DatasetError(
                f"{data.name}: class {quoted(first.name)}{others}: its prompt "
                f"{quoted(first.prompt)} has {first.count} tokens, the context of "
                f"{self._suite.suite.backbone.name} holds {first.length}: shorten name or template"
            )

    def _whole(self, spec: DatasetSpec, where: Where) -> Dataset | Missing:
        if spec not in self._seen:
            resolved = spec
            try:
                resolved = spec.resolve(self._suite.path.parent)
                data = load_dataset(resolved)
                _ = data.fingerprint  # raises where images are missing
                self._seen[spec] = data
            except NotHere as error:
                what = f"data set {spec.name}"
                self._seen[spec] = Missing(what, where, str(error), remedy(resolved))
        return self._seen[spec]


def check_fits(backbone: BackboneSpec, data: Dataset) -> None:
    """Whether a model that is only described can serve a data set.

    Raises:
        BackboneError: the data set has pixels, or features of another width.
    """
    if backbone.features is None:
        return
    if data.has_pixels:
        raise BackboneError(
            f"{data.name}: has images, and the backbone {backbone.name} no encoder: give the "
            "backbone as model: …, or the data set as kind: features"
        )
    width = data.features(data.items("test")[:1]).shape[1]
    if width != backbone.feature_dim:
        raise BackboneError(
            f"{data.name}: its features have width {width}, the backbone says "
            f"feature_dim: {backbone.feature_dim}"
        )
