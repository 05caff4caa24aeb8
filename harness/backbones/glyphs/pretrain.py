"""Pre-train the glyph CLIP: `python -m harness.backbones.glyphs.pretrain --out FOLDER`.

Run again with the same --out to go on from its checkpoint. The same seed, step count and device
give the same weights, interrupted or not. Needs matplotlib and Pillow: glyphs are drawn on the fly.
"""

import argparse
import copy
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.backbones import glyphs
from harness.backbones.glyphs.batches import Batch, BatchStream
from harness.backbones.glyphs.evaluate import embedded_zero_shot
from harness.backbones.glyphs.fonts import Bank, build_bank
from harness.backbones.glyphs.render import Distortion
from harness.backbones.glyphs.zeroshot import encode_image, encode_text

_PACKAGES: Final = ("torch", "open_clip_torch", "numpy", "matplotlib", "pillow", "scikit-learn")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the device."""

    steps: int = 3600
    seed: int = 1
    names_per_batch: int = 128
    learning_rate: float = 1.5e-3
    warmup_steps: int = 200
    weight_decay: float = 0.05
    beta2: float = 0.98
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    class_weight: float = 1.0
    easy_share: float = 0.4
    easy_strength: float = 0.3
    bfloat16: bool = True


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE with two images per text: image features (2n, d), text features (n, d)."""
    n = len(texts)
    logits = scale * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    names = torch.arange(n, device=logits.device)
    to_text = F.cross_entropy(logits, names.repeat(2))
    to_image = -logits.log_softmax(0).view(2, n, n).diagonal(dim1=1, dim2=2).mean()
    return (to_text + to_image) / 2


def encode_by_length(model: CLIP, tokens: Tensor, group: int = 32) -> Tensor:
    """`encode_text` of tokens (n, length), short captions apart from long ones: less padding."""
    lengths = (tokens != 0).sum(1)
    order = lengths.argsort(stable=True)
    parts = [
        encode_text(model, tokens[rows, : int(lengths[rows].max())])
        for rows in torch.split(order, group)
    ]
    return torch.cat(parts)[order.argsort()]


def strength(recipe: Recipe, step: int) -> float:
    """How strongly images are distorted: from `easy_strength` to 1 over the first `easy_share`.

    Readable glyphs first: from full distortion on, the towers take much longer to find each other.
    """
    done = min(1.0, step / max(1.0, recipe.easy_share * recipe.steps))
    return recipe.easy_strength + (1 - recipe.easy_strength) * done


class Trainer:
    """Model, moving average and optimiser; `step` consumes one batch.

    Besides the contrastive loss, a linear head names the glyph among all `classes` from the image
    feature: a direct signal to the image tower while the text tower is still young. It is not
    exported.
    """

    def __init__(self, recipe: Recipe, device: torch.device, classes: int):
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.done, self.seconds = recipe, device, 0, 0.0
        self.model = glyphs.new_model().to(device)
        self.average = copy.deepcopy(self.model).eval()
        self.head = torch.nn.Linear(glyphs.new_model().visual.output_dim, classes).to(device)
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": [*others, *self.head.parameters()], "weight_decay": 0.0},
            ],
            betas=(0.9, recipe.beta2),
        )

    def step(self, batch: Batch) -> float:
        """One update; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.done)
        # On CPUs the fused bfloat16 attention spends more in its backward pass than all the rest.
        attention = sdpa_kernel(SDPBackend.MATH) if self.device.type == "cpu" else nullcontext()
        mixed = torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16)
        with attention, mixed:
            images = encode_image(self.model, batch.images)
            texts = encode_by_length(self.model, batch.tokens)
        loss = contrastive_loss(images.float(), texts.float(), self.model.logit_scale.exp())
        named = F.cross_entropy(self.head(images.float()), batch.classes.repeat(2))
        self.named = float(named.detach())
        total = loss + self.recipe.class_weight * named
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
            decay = min(self.recipe.ema_decay, (1 + self.done) / (10 + self.done))
            pairs = list(zip(self.average.parameters(), self.model.parameters(), strict=True))
            torch._foreach_lerp_([a for a, _ in pairs], [p.data for _, p in pairs], 1 - decay)
        self.done += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """All that resuming needs; tensors and plain values only."""
        return {
            "recipe": asdict(self.recipe),
            "done": self.done,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises ValueError when it was made by another recipe."""
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(
                f"checkpoint was made with {state['recipe']}, asked for {asdict(self.recipe)}; "
                "use its values, another --out, or --no-resume"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.seconds = state["done"], state["seconds"]


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write the checkpoint beside `path`, then rename, so that a kill never leaves half a file."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def export(trainer: Trainer, folder: Path, bank: Bank) -> dict[str, float]:
    """Write the averaged weights (float16), the config and the recipe with its figures."""
    weights = {name: t.detach().cpu().half() for name, t in trainer.average.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors.partial")
    (folder / "model.safetensors.partial").replace(folder / "model.safetensors")
    (folder / "open_clip_config.json").write_bytes(glyphs.CONFIG_PATH.read_bytes())
    rounded: CLIP = copy.deepcopy(trainer.average).cpu()
    rounded.load_state_dict({name: t.float() for name, t in weights.items()})
    figures = embedded_zero_shot(rounded, glyphs.load_tokenizer())
    pairs = 2 * trainer.recipe.names_per_batch * trainer.done
    report = {
        "recipe": asdict(trainer.recipe),
        "steps_done": trainer.done,
        "images_seen": pairs,
        "wall_seconds": round(trainer.seconds),
        "images_per_second": round(pairs / max(trainer.seconds, 1e-9), 1),
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "glyph_classes": len(bank.groups),
        "glyph_masks": len(bank.masks),
        "logit_scale": round(float(rounded.logit_scale.exp()), 3),
        "zero_shot_top1": figures,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }
    (folder / "recipe.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return figures


def train(
    trainer: Trainer,
    stream: BatchStream,
    out: Path,
    bank: Bank,
    every_seconds: float = 180.0,
    until: int | None = None,
) -> None:
    """Train to the recipe's last step (or to `until`), saving checkpoints and figures."""
    last = trainer.recipe.steps if until is None else until
    mark = saved = time.perf_counter()
    running = 0.0
    while trainer.done < last:
        hard = strength(trainer.recipe, trainer.done)
        loss = trainer.step(stream(trainer.done, Distortion().scaled(hard)))
        running = loss if running == 0.0 else 0.98 * running + 0.02 * loss
        now = time.perf_counter()
        trainer.seconds, mark = trainer.seconds + now - mark, now
        if trainer.done % 100 == 0:
            rate = trainer.seconds / trainer.done
            print(
                f"step {trainer.done}/{last} loss {running:.3f} class {trainer.named:.2f} "
                f"scale {float(trainer.model.logit_scale.detach().exp()):.1f} {rate:.3f} s/step "
                f"left {(last - trainer.done) * rate / 60:.0f} min",
                flush=True,
            )
        if now - saved > every_seconds:
            save_atomically(trainer.state(), out / "checkpoint.pt")
            print(f"step {trainer.done} zero-shot {export(trainer, out, bank)}", flush=True)
            saved = mark = time.perf_counter()
    save_atomically(trainer.state(), out / "checkpoint.pt")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="pretrain", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoint, weights, recipe"
    )
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--names-per-batch", type=int, default=Recipe.names_per_batch)
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate)
    parser.add_argument("--float32", action="store_true", help="no bfloat16 autocast")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and export; returns the exit status."""
    asked = parse(arguments)
    name = (
        asked.device if asked.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    device = torch.device(name)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    recipe = Recipe(
        steps=asked.steps,
        seed=asked.seed,
        names_per_batch=asked.names_per_batch,
        learning_rate=asked.learning_rate,
        bfloat16=not asked.float32,
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    bank = build_bank()
    trainer = Trainer(recipe, device, len(bank.groups))
    checkpoint = asked.out / "checkpoint.pt"
    if asked.resume and checkpoint.exists():
        trainer.restore(torch.load(checkpoint, map_location=device, weights_only=True))
        print(f"resuming at step {trainer.done}", flush=True)
    stream = BatchStream(bank, glyphs.load_tokenizer(), recipe.names_per_batch, recipe.seed, device)
    print(f"{len(bank.groups)} classes, {len(bank.masks)} masks, device {device}", flush=True)
    train(trainer, stream, asked.out, bank)
    print(f"final zero-shot {export(trainer, asked.out, bank)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
