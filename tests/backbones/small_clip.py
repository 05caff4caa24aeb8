"""Small random CLIP models, and random updates of them."""

from typing import Any

import torch
from open_clip.model import CLIP

from harness.backbones import Backbone

VISION = {"image_size": 32, "patch_size": 8, "width": 48, "layers": 3, "head_width": 16}
TEXT = {"context_length": 40, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}


def perturbed(model: Any, seed: int = 0) -> Any:
    """Noise on every weight, so that none is at an initial value of zero or one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model.eval().requires_grad_(False)


def small_clip(seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return perturbed(CLIP(24, dict(VISION), dict(TEXT)), seed)


def random_branches(
    backbone: Backbone, seed: int = 0, only: str = ""
) -> dict[str, torch.nn.Linear]:
    """A dense random update at every site whose name begins with `only`."""
    generator = torch.Generator().manual_seed(seed)
    branches = {}
    for name, site in backbone.sites.items():
        if name.startswith(only):
            branch = torch.nn.Linear(site.in_features, site.out_features, bias=False)
            with torch.no_grad():
                branch.weight.copy_(0.02 * torch.randn(branch.weight.shape, generator=generator))
            branches[name] = branch
    return branches
