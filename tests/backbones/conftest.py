"""Fixtures of the backbone tests."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from small_clip import small_clip

from harness.backbones import Backbone


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def original() -> Any:
    """The small model as open_clip builds it."""
    return small_clip()


@pytest.fixture
def make(original: Any) -> Callable[..., Backbone]:
    def build(**options: Any) -> Backbone:
        tokenizer = SimpleTokenizer(context_length=40)
        return Backbone(copy.deepcopy(original), tokenizer, name="small", **options)

    return build


@pytest.fixture
def backbone(make: Callable[..., Backbone]) -> Backbone:
    return make()
