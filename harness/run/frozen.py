"""What the frozen model makes of a data set: features of its images and names, cached, checked.

Everything a cell reports is compared with the frozen model, so one that says nothing (NaN, zeros,
the same for everything) is refused before a difference to it is formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.backbones.ensemble import ensemble
from harness.backbones.spec import BackboneError
from harness.datasets import Dataset, DatasetError, Item
from harness.features.cache import FeatureCache
from harness.features.encode import BATCH, encode, encoder_key, to_tensor
from harness.features.faults import fault
from harness.features.prefetch import prefetched
from harness.task import Classes

if TYPE_CHECKING:
    from harness.backbones import Backbone


@dataclass(frozen=True)
class Text:
    """Text features of C classes under P templates, shared by all who ask: copy before writing."""

    raw: Tensor
    """(P, C, d), unnormalised."""
    features: Tensor
    """(C, d), unit length."""


def pixels(dataset: Dataset, items: Sequence[Item], backbone: Backbone) -> Tensor:
    """(n, 3, H, W) images under the test-time preprocessing, on the backbone's device."""
    return to_tensor(dataset.read(items), backbone)


@torch.no_grad()
def image_features(
    dataset: Dataset, items: Sequence[Item], backbone: Backbone, cache: FeatureCache
) -> Tensor:
    """(n, d) features of the plain view of `items`: pre-computed ones, or the frozen encoder's.

    Raises:
        DatasetError, BackboneError: they say nothing (see `harness.features.faults`).
    """
    what = f"the image features of {dataset.name}"
    several = len({item.label for item in items}) > 1
    if not dataset.has_pixels:
        found = torch.from_numpy(dataset.features(items))
        refuse_faults(found, what, None, several)
        return found
    key = {
        **encoder_key(backbone),
        "dataset": dataset.fingerprint,
        "items": [item.impath for item in items],
        "view": "plain",
    }

    def compute() -> Tensor:
        chunks = (items[start : start + BATCH] for start in range(0, len(items), BATCH))
        images = prefetched(lambda chunk: pixels(dataset, chunk, backbone), chunks)
        return torch.cat([encode(batch, backbone) for batch in images])

    found = cache.get(key, compute)
    refuse_faults(found, what, backbone, several)
    return found


@torch.no_grad()
def text_of(
    dataset: Dataset, classes: Classes, backbone: Backbone, cache: FeatureCache
) -> Text | None:
    """The data set's own text features where it brings them, else the frozen encoder's.

    None where neither is there.

    Raises:
        DatasetError: the data set's image features are not of the backbone's width.
        DatasetError, BackboneError: the text features say nothing.
    """
    what, several = f"the text features of {dataset.name}", len(classes) > 1
    unit, raw = dataset.text_features(), dataset.raw_text_features()
    if unit is not None and raw is not None:
        refuse_faults(torch.from_numpy(raw), what, None, several)
        own = torch.from_numpy(raw[None]), torch.from_numpy(unit)
        return Text(*(part.to(backbone.device) for part in own))
    if not backbone.has_encoder:
        return None
    _check_width(dataset, backbone)
    names = {"names": list(classes.names), "templates": list(classes.templates)}
    # By name as well: a tokenizer is no part of the weights.
    key = {**encoder_key(backbone), "backbone": backbone.name, "raw_text": names}
    found = cache.get(key, lambda: backbone.raw_text_features(classes)).to(backbone.device)
    for template, rows in zip(classes.templates, found, strict=True):
        refuse_faults(rows, f'{what} under "{template}"', backbone, several)
    return Text(found, ensemble(found))


def _check_width(dataset: Dataset, backbone: Backbone) -> None:
    if dataset.has_pixels:
        return
    width = dataset.features(dataset.items("test")[:1]).shape[1]
    if width != backbone.feature_dim:
        raise DatasetError(
            f"{dataset.name}: its features have width {width}, {backbone.name} makes "
            f"{backbone.feature_dim}: say which model they come from, backbone: "
            f"{{features: NAME, feature_dim: {width}, logit_scale: 100}}"
        )


def refuse_faults(
    features: Tensor, what: str, backbone: Backbone | None, several: bool = False
) -> None:
    """Refuse features that say nothing, called `what`, of a backbone or, without one, of a file.

    Raises:
        BackboneError, DatasetError: what is wrong, and with which model or data set.
    """
    found = fault(features, several)
    if found is None:
        return
    if backbone is None:
        raise DatasetError(f"{what} {found}: make the file anew")
    remedy = "its weights are damaged, or their training diverged: use another checkpoint"
    if backbone.precision != "fp32":
        remedy = "try precision: fp32; if that is no better, use another checkpoint"
    raise BackboneError(f"{backbone.name}: {what} {found}; {remedy}")
