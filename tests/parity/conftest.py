"""One small random CLIP, as open_clip builds it and as the harness loads it."""

from typing import Any

import pytest
import torch
from plain_clip import adapted_backbone, small_clip

from harness.backbones import Backbone

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model() -> Any:
    return small_clip()


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return adapted_backbone()
