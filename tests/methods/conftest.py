"""What the tests of methods share: a tiny CLIP, and a three-class task made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.backbones import Backbone
from harness.contract.toy import tiny_backbone
from harness.run.support import FeatureSupport, LazyBatch
from harness.task import Classes, Task

torch.set_num_threads(1)

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture(scope="session")
def twin() -> Backbone:
    """The same weights as `backbone`, for tests that write into them."""
    return tiny_backbone()


@pytest.fixture
def task() -> Task:
    """Three classes, two shots, four feature dimensions, τ = 10; features only."""
    features = torch.tensor(
        [
            [2.0, 0.1, 0.0, 0.3],
            [1.5, 0.2, 0.1, 0.0],
            [0.1, 1.0, 0.0, 0.2],
            [0.0, 3.0, 0.4, 0.0],
            [0.3, 0.0, 1.2, 0.1],
            [0.0, 0.2, 0.9, 0.5],
        ]
    )
    text = torch.tensor([[0.8, 0.6, 0.0, 0.0], [0.0, 0.8, 0.6, 0.0], [0.6, 0.0, 0.8, 0.0]])
    fake: Any = SimpleNamespace(logit_scale=10.0, feature_dim=4, name="by hand", precision="fp32")
    return Task(
        classes=Classes(("one", "two", "three")),
        shots=2,
        support=FeatureSupport(features, torch.tensor([0, 0, 1, 1, 2, 2]), CPU),
        val=None,
        backbone=fake,
        text_features=text,
        generator=torch.Generator().manual_seed(0),
    )


@pytest.fixture
def queries() -> LazyBatch:
    """Two images of the hand-made task."""
    features = torch.tensor([[1.0, 0.5, 0.0, 0.2], [0.2, 0.1, 0.7, 0.4]])
    return LazyBatch(2, no_pixels, lambda: features)


def no_pixels() -> Tensor:
    raise AssertionError("the method read pixels")
