"""GPU hours of a suite, from what its methods do and what one pass through its backbone costs.

An estimate before anything has run, for machines that are not this one: encoder passes are counted
exactly (`harness.task.Work`), their floating-point operations by PyTorch's own counter on a model
without memory; how many of them a GPU does per second is an assumption that the reader can change.
Decoding, data transfer, start-up and the frozen features of test sets are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from harness.backbones.spec import HUB, BackboneSpec
from harness.datasets.catalogue import CATALOGUE
from harness.plan.cell import Cell, Waiting
from harness.plan.estimate import candidates_of
from harness.plan.expand import Plan
from harness.plan.methods import find_method
from harness.plan.variants import build_config

TOKENS = 6
"""Tokens of a prompt's own: a class name of three, a full stop, an end, and one for padding. What
all prompts share, CoOp's context included, is encoded once (`harness.backbones.text`)."""
TRAINED = 2.0
"""A pass with gradient against one without: weights are frozen, so that only the gradient of the
activations is computed."""
TFLOPS = {"fp32": 15.0, "bf16": 50.0, "fp16-amp": 50.0}
"""Assumed 10¹² operations per second, about a seventh of what an 80 GB data-centre GPU of 2020 to
2023 claims in half precision: batches of 32 images do not fill one."""


def gpu_hours(plan: Plan, tflops: float) -> float | None:
    """Hours on one GPU; None where the backbone or a data set is of unknown size."""
    cost = pass_flops(plan.suite.suite.backbone)
    if cost is None:
        return None
    image, prompt = cost
    views: dict[Any, int] = {}
    flops = 0.0
    for cell in plan.every:
        size = size_of(cell, plan)
        if size is None:
            return None
        classes, scored = size
        method: Any = find_method(cell.method)
        configured = method(build_config(method.Config, cell.identity.method.config))
        work = configured.work(classes, classes * cell.shots, cell.shots)
        fits = 1 + candidates_of(method, cell.identity)
        flops += image * (scored if work.adapts_images else 0)
        flops += fits * image * (work.images + TRAINED * work.images_trained)
        flops += fits * prompt * TRAINED * work.prompts_trained
        draw = (cell.dataset, cell.shots, cell.seed)
        views[draw] = max(work.views, views.get(draw, 0))
    return (flops + image * sum(views.values())) / (tflops * 1e12) / 3600


def size_of(cell: Cell | Waiting, plan: Plan) -> tuple[int, int] | None:
    """Classes, and images scored (test and retention sets); from the catalogue where it waits."""
    if isinstance(cell, Cell):
        return cell.classes, cell.scored
    part = cell.stages[-1].adapt
    name = part.whole.name
    others = {spec.name for spec in plan.suite.suite.retention} - {name}
    known = [CATALOGUE.get(each) for each in (name, *others)]
    if any(each is None or "test" not in each.known_sizes for each in known):
        return None
    classes = next(each.classes for each in known if each is not None)
    scored = sum(each.known_sizes["test"] for each in known if each is not None)
    return (classes if part.half is None else -(-classes // 2)), scored


@lru_cache
def pass_flops(spec: BackboneSpec) -> tuple[float, float] | None:
    """Operations of one image and of one prompt's own tokens; None for other than open_clip's."""
    import open_clip
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    if spec.features is not None or spec.model.startswith(HUB):
        return None
    config: Mapping[str, Any] | None = open_clip.get_model_config(spec.model)
    if config is None:
        return None
    with torch.device("meta"):
        kind = open_clip.CustomTextCLIP if "custom_text" in config else open_clip.CLIP
        model = kind(**{k: v for k, v in config.items() if k != "custom_text"})
        model.eval().requires_grad_(False)
        size, length = model.visual.image_size, model.context_length
        side = size if isinstance(size, int) else size[0]
        with FlopCounterMode(display=False) as images:
            model.encode_image(torch.zeros(1, 3, side, side))
        with FlopCounterMode(display=False) as texts:
            model.encode_text(torch.zeros(1, length, dtype=torch.long))
    return images.get_total_flops(), texts.get_total_flops() * TOKENS / length
