"""The stream of pre-training batches: captions and rendered images, a function of (seed, step)."""

from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from harness.backbones.glyphs.captions import Caption, write_caption
from harness.backbones.glyphs.fonts import Bank, Group
from harness.backbones.glyphs.names import sampling_weight
from harness.backbones.glyphs.render import NAMED_COLOURS, Distortion, Look, generator_for, render

FULL = Distortion()


@dataclass(frozen=True)
class Batch:
    """`images` (2n, 3, 32, 32) in [0, 1], images i and i + n show name i; `tokens` (n, length).

    `classes` (n,) are the glyphs' positions in the bank.
    """

    images: Tensor
    tokens: Tensor
    classes: Tensor


def _family(group: Group) -> str:
    return group.names[0].split()[0]


class BatchStream:
    """Batch `step` of the stream for a `seed`: any step may be asked for, so resuming is easy."""

    def __init__(
        self, bank: Bank, tokenizer: Any, names_per_batch: int, seed: int, device: torch.device
    ):
        self.bank, self.tokenizer, self.device = bank, tokenizer, device
        self.n, self.seed = names_per_batch, seed
        self.masks = torch.from_numpy(bank.masks)
        self.families = sorted({_family(group) for group in bank.groups})
        index = {family: i for i, family in enumerate(self.families)}
        self.family_of = torch.tensor([index[_family(group)] for group in bank.groups])
        self.log_weight = torch.tensor([sampling_weight(g.names[0]) for g in bank.groups]).log()

    def _choose(self, g: torch.Generator) -> list[int]:
        """Distinct groups; a few families are favoured so that a batch holds near neighbours."""
        favour = torch.rand(len(self.families), generator=g) < 0.08
        score = self.log_weight + 2.0 * favour[self.family_of]
        gumbel = -torch.log(-torch.log(torch.rand(len(score), generator=g).clamp(1e-9, 1 - 1e-7)))
        return [int(i) for i in (score + gumbel).topk(self.n).indices]

    def _rows(self, group: Group, style: str | None, rng: Random) -> list[int]:
        rows = [r for r in group.rows if style is None or style in self.bank.faces[r].styles]
        return rng.sample(rows, 2) if len(rows) > 1 else rows * 2

    def __call__(self, step: int, distortion: Distortion = FULL) -> Batch:
        g = generator_for(self.seed, step)
        rng = Random(f"{self.seed}/{step}")
        classes = self._choose(g)
        chosen = [self.bank.groups[i] for i in classes]
        captions: list[Caption] = []
        pairs: list[list[int]] = []
        for group in chosen:
            styles = sorted({s for row in group.rows for s in self.bank.faces[row].styles})
            caption = write_caption(rng.choice(group.names), tuple(styles), rng)
            captions.append(caption)
            pairs.append(self._rows(group, caption.style, rng))
        rows = torch.tensor([p[0] for p in pairs] + [p[1] for p in pairs])
        tokens = self.tokenizer([caption.text for caption in captions])
        longest = int((tokens != 0).sum(1).max())
        images = render(self.masks[rows], distortion, g, _look(captions * 2), self.device)
        labels = torch.tensor(classes, device=self.device)
        return Batch(images, tokens[:, :longest].to(self.device), labels)


def _look(captions: list[Caption]) -> Look:
    anything = (torch.nan,) * 3

    def colours(names: list[str | None]) -> Tensor:
        return torch.tensor([NAMED_COLOURS[name] if name else anything for name in names])

    return Look(
        colours([caption.foreground for caption in captions]),
        colours([caption.background for caption in captions]),
        torch.tensor([caption.blurry for caption in captions]),
        torch.tensor([caption.pixelated for caption in captions]),
    )
