"""One LoRA step on the harness's backbone against a plain implementation.

ViT-B/32 shapes, batch 32, 100 classes, float32; both sides are in `training_steps.py`. Target: at
least 3 times faster.

Losses must agree to 1e-4 over 20 steps; these are trained on a smaller task (8 images, 10 classes)
to keep the benchmark short, and so are the timed steps of the full one.

Two more rows: the same step under `precision: bf16`, and what replicas of LoRA (other seeds, other
rates) could save by sharing one pass over a joint batch.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from side_by_side import side_by_side
from training_steps import our_backbone, our_lora, plain_lora, prompts

from harness.backbones import load_backbone
from harness.backbones.spec import BackboneSpec

MODEL, CLASSES, BATCH = "ViT-B-32", 100, 32
STEPS, ROUNDS = 20, 3


def test_lora_step(benchmark: Any, capsys: Any) -> None:
    texts, backbone = prompts(CLASSES), our_backbone(MODEL)
    ours, plain = our_lora(backbone, texts[:10], 8), plain_lora(MODEL, texts[:10], 8)
    losses = [(ours(), plain()) for _ in range(STEPS)]
    worst = max(abs(one - other) for one, other in losses)

    ours, plain = our_lora(backbone, texts, BATCH), plain_lora(MODEL, texts, BATCH)
    losses_full = [(ours(), plain())]
    with capsys.disabled():
        print(f"\n{STEPS} steps: loss {losses[0][0]:.3f} to {losses[-1][0]:.3f}, ", end="")
        print(f"largest difference {worst:.1e}", end="")
        side_by_side(
            benchmark, f"LoRA step, {torch.get_num_threads()} threads", ours, plain, ROUNDS
        )
    losses_full.append((ours(), plain()))
    worst = max(worst, *(abs(one - other) for one, other in losses_full))
    assert worst <= 1e-4


def test_bf16(benchmark: Any, capsys: Any) -> None:
    """Other numbers, hence an option that goes into a cell's id; never a shortcut."""
    single = our_lora(our_backbone(MODEL), prompts(CLASSES), BATCH)
    half = our_lora(our_backbone(MODEL, "bf16"), prompts(CLASSES), BATCH)
    difference = abs(single() - half())
    with capsys.disabled():
        name = f"LoRA step, ours, first loss {difference:.3f} apart"
        side_by_side(benchmark, name, half, single, ROUNDS, labels=("fp32", "bf16"))


REPLICAS = 3


@pytest.mark.parametrize(
    ("model", "batch", "classes"), [("glyphs", 16, 26), (MODEL, BATCH, CLASSES)]
)
def test_joint_batch(benchmark: Any, capsys: Any, model: str, batch: int, classes: int) -> None:
    """One pass over the images and prompts of three replicas, for a pass each.

    About the most that a joint batch could save: here all share one set of branches, in truth each
    replica's would be applied to its own rows. Not built; see docs/performance.md.
    """
    glyphs = BackboneSpec(model="glyphs")
    backbone = load_backbone(glyphs, "cpu", "fp32") if model == "glyphs" else our_backbone(model)
    one = our_lora(backbone, prompts(classes), batch)
    joint = our_lora(backbone, prompts(REPLICAS * classes), REPLICAS * batch)

    def apart() -> None:
        for _ in range(REPLICAS):
            one()

    joint()
    apart()
    with capsys.disabled():
        name = f"{REPLICAS} LoRA replicas on {model}"
        rounds = 20 if model == "glyphs" else ROUNDS
        side_by_side(benchmark, name, joint, apart, rounds, labels=("apart", "joint"))
