"""What goes into the linears of the frozen encoders on the support set, before any training."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from harness.task import Task

BATCH = 32


@torch.no_grad()
def data_pass(
    task: Task, sites: Collection[str], take: Callable[[str, Tensor, Tensor], None]
) -> None:
    """Run the frozen encoders over the support images, once each under the test-time view, and
    over the prompts of all classes and templates, showing `take` the inputs of `sites`.

    `take(site, x, weights)` is called with x (tokens, in) and weights (tokens,): how many prompts
    share a token that is computed once for all of them; 1 for a token of an image.
    """
    towers = {site.partition(".")[0] for site in sites}
    with task.backbone.observe(sites, take):
        if "vision" in towers:
            for chosen in torch.split(torch.arange(len(task.support)), BATCH):
                task.backbone.encode_image(task.support.plain(chosen))
        if "text" in towers:
            task.backbone.text_features(task.classes)
