"""24 replicas of a feature head trained together, against one trained alone.

Embedded-suite shapes (d = 128, 24 classes, 1 shot) and CLIP's (d = 512, 100 classes, 1 shot).
Target: at most 3 times the time of one. How far that can hold is a matter of arithmetic: where one
step already keeps a core busy, 24 of them cannot be had for the time of three.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.methods.heads.clip_adapter import CLIPAdapter
from harness.methods.heads.tip_adapter import TipAdapterF
from harness.run.support import FeatureSupport
from harness.task import Classes, Task

REPLICAS, ROUNDS = 24, 5


class Views(FeatureSupport):
    """Features with a little noise for views."""

    def views(self, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        clean = self.features
        return clean + 0.1 * torch.randn(count, *clean.shape, generator=generator)


def make_task(d: int, classes: int, seed: int) -> Task:
    generator = torch.Generator().manual_seed(seed)
    text = F.normalize(torch.randn(classes, d, generator=generator), dim=-1)
    cpu = torch.device("cpu")
    backbone: Any = SimpleNamespace(logit_scale=100.0, feature_dim=d, name="none", precision="fp32")
    return Task(
        classes=Classes(tuple(f"class {c}" for c in range(classes))),
        shots=1,
        support=Views(torch.randn(classes, d, generator=generator), torch.arange(classes), cpu),
        val=None,
        backbone=backbone,
        text_features=text,
        generator=generator,
    )


@pytest.mark.parametrize(("d", "classes"), [(128, 24), (512, 100)])
@pytest.mark.parametrize(
    ("method", "config"),
    [
        (CLIPAdapter, CLIPAdapter.Config(steps=100, views=10, lr=1e-3)),
        (TipAdapterF, TipAdapterF.Config(steps=100, train_views=10)),
    ],
    ids=["clip_adapter", "tip_adapter_f"],
)
@pytest.mark.parametrize("rates", [1, 24])
def test_replicas(
    benchmark: Any, capsys: Any, method: Any, config: Any, d: int, classes: int, rates: int
) -> None:
    torch.set_num_threads(1)
    configs = [replace(config, lr=config.lr * (1 + i % rates / 10)) for i in range(REPLICAS)]
    seconds: dict[str, list[float]] = {"one": [], "all": []}

    def tasks() -> list[Task]:
        return [make_task(d, classes, seed) for seed in range(REPLICAS)]

    def one() -> Any:
        (first, *_), start = tasks(), time.perf_counter()
        fitted = method(configs[0]).fit(first)
        seconds["one"].append(time.perf_counter() - start)
        return fitted

    def together() -> Any:
        pairs = list(zip(configs, tasks(), strict=True))
        start = time.perf_counter()
        fitted = method.fit_together(pairs)
        seconds["all"].append(time.perf_counter() - start)
        return fitted

    alone, packed = one(), together()
    for name, tensor in alone.state().items():
        torch.testing.assert_close(packed[0].state()[name], tensor, rtol=1e-5, atol=1e-6)
    benchmark.pedantic(together, setup=lambda: one() and None, rounds=ROUNDS)
    single, many = (statistics.median(seconds[key]) for key in ("one", "all"))
    benchmark.extra_info.update(one=single, together=many, ratio=many / single)
    with capsys.disabled():
        print(
            f"\n{method.name}, d = {d}, {classes} classes, {rates} learning rate(s): one "
            f"{single:.3f} s, {REPLICAS} together {many:.3f} s, {many / single:.1f}×"
        )
