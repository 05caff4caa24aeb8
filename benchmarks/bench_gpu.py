"""Training steps on a GPU: CoOp and LoRA on ViT-B/16, ours against plain. Skipped without a GPU.

Per step: seconds, peak memory, and floating-point operations per second as a share of what a large
matrix product reaches on the same device in the same precision. Operations are counted by PyTorch
as they run (products, convolutions, attention), so each side is measured by what it really does.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_steps import Step, coop, our_backbone, our_lora, plain_lora, prompts

from harness.backbones.backbone import AUTOCAST, Precision

DEVICE, MODEL, BATCH = "cuda", "ViT-B-16", 32
SIDE, WARM_UP, ROUNDS = 8192, 3, 10

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@dataclass
class Measured:
    seconds: float
    tflops: float
    gib: float


def measure(step: Step) -> Measured:
    """The median step, with the device's queue drained; the operations of one step."""
    for _ in range(WARM_UP):
        step()
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**30
    with FlopCounterMode(display=False) as counter:
        step()
    median = statistics.median(seconds)
    return Measured(median, counter.get_total_flops() / median / 1e12, peak)


@pytest.fixture(scope="module")
def product() -> dict[Precision, float]:
    """TFLOP/s of one large matrix product, by precision."""
    rates: dict[Precision, float] = {}
    for precision in ("fp32", "bf16"):
        dtype = AUTOCAST.get(precision, torch.float32)
        a, b = (torch.randn(SIDE, SIDE, device=DEVICE, dtype=dtype) for _ in range(2))
        rates[precision] = measure(lambda a=a, b=b: float((a @ b)[0, 0])).tflops  # type: ignore[misc]
    return rates


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("classes", [100, 1000])
@pytest.mark.parametrize("method", ["coop", "lora"])
def test_step(
    benchmark: Any,
    capsys: Any,
    product: dict[Precision, float],
    method: str,
    classes: int,
    precision: Precision,
) -> None:
    backbone, texts = our_backbone(MODEL, precision, DEVICE), prompts(classes)
    if method == "coop":
        ours, plain = (coop(backbone, texts, BATCH, plain=side) for side in (False, True))
    else:
        ours, plain = our_lora(backbone, texts, BATCH), under(precision, texts)
    found = {"plain": measure(plain), "ours": measure(ours)}
    benchmark.pedantic(ours, rounds=ROUNDS)
    ratio = found["plain"].seconds / found["ours"].seconds
    with capsys.disabled():
        name = torch.cuda.get_device_name()
        print(f"\n{method}, {classes} classes, {precision}, {name}: {ratio:.1f}×")
        for side, one in found.items():
            share = 100 * one.tflops / product[precision]
            print(
                f"  {side}: {1e3 * one.seconds:.1f} ms, {one.gib:.1f} GiB, {one.tflops:.1f} "
                f"TFLOP/s, {share:.0f} % of a {SIDE}³ product's {product[precision]:.0f}"
            )


def under(precision: Precision, texts: list[str]) -> Step:
    """The plain LoRA step under autocast, where ours is."""
    step, dtype = plain_lora(MODEL, texts, BATCH, DEVICE), AUTOCAST.get(precision)

    def cast() -> float:
        with torch.autocast(DEVICE, dtype=dtype, enabled=dtype is not None):
            return step()

    return cast
