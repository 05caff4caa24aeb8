"""The low-rank family: one training loop, injected branches, one `Update` per method.

Every method here adds ΔW = up·down of rank r to frozen linears and differs only in what `up` and
`down` are made of. Protocol: CLIP-LoRA (Zanella & Ben Ayed, CVPRW 2024).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.methods.batches import feature_batches
from harness.methods.checks import at_least, not_negative, one_of, positive, require
from harness.methods.low_rank.branches import Branch, LowRankClassifier, Update, detached
from harness.methods.low_rank.spectra import leakage
from harness.methods.optim import cosine, descend, minibatches
from harness.task import Classifier, Method, NotApplicable, Task, Work, zero_shot_logits

Site = Literal["q", "k", "v", "out"]


@dataclass(frozen=True)
class LowRankConfig:
    """CLIP-LoRA's training, shared by the family."""

    rank: int = 2
    encoders: Literal["both", "vision", "text"] = "both"
    sites: tuple[Site, ...] = ("q", "k", "v")
    dropout: float = 0.25
    """On the branch's input, in training only."""
    lr: float = 2e-4
    weight_decay: float = 1e-2
    floor_lr: float = 1e-6
    """Where the cosine ends."""
    batch: int = 32
    steps_per_shot: int = 500
    steps: int | None = None
    """A budget in steps, in place of `steps_per_shot` × shots."""
    views: int = 0
    """Only with encoders = "text": V > 0 trains on V cached augmented views of the images."""

    quick: ClassVar[Mapping[str, Any]] = {"steps": 40, "lr": 3e-2}
    identity: ClassVar[Mapping[str, Any]] = {"steps": 0}

    def __post_init__(self) -> None:
        at_least(1, self, "rank", "batch")
        at_least(0, self, "steps", "steps_per_shot", "views")
        positive(self, "lr")
        not_negative(self, "weight_decay", "floor_lr")
        one_of(self, "encoders", ("both", "vision", "text"))
        require(0 <= self.dropout < 1, self, "dropout", "a number from 0 up, below 1")
        known = bool(self.sites) and set(self.sites) <= {"q", "k", "v", "out"}
        require(known, self, "sites", "one or more of q, k, v, out")
        frozen_images = not self.views or self.encoders == "text"
        require(
            frozen_images, self, "views", '0 unless encoders = "text": adapted image features move'
        )

    def adapts(self, tower: str) -> bool:
        """Whether the "vision" or the "text" encoder is trained."""
        return self.encoders in ("both", tower)


class LowRank(Method):
    """Trains the updates of all sites together, by cross-entropy through both encoders."""

    search_space = {"lr": (5e-5, 2e-4, 8e-4, 3.2e-3)}  # noqa: RUF012

    @abstractmethod
    def update(self, linear: nn.Linear, generator: torch.Generator) -> Update:
        """A fresh update of a frozen linear."""

    @abstractmethod
    def protected(self, linear: nn.Linear) -> int:
        """k: how many leading singular directions `subspace_leakage` is measured against."""

    def work(self, classes: int, images: int, shots: int) -> Work:
        c, steps = self.config, self.steps(shots)
        seen, adapts_images = steps * min(c.batch, images), c.adapts("vision")
        return Work(
            steps=steps,
            images=0 if adapts_images or c.views else seen,
            images_trained=seen if adapts_images else 0,
            prompts_trained=steps * classes if c.adapts("text") else 0,
            views=c.views * images,
            adapts_images=adapts_images,
        )

    def steps(self, shots: int) -> int:
        """The budget: `steps`, or `steps_per_shot` × shots."""
        given: int | None = self.config.steps
        return self.config.steps_per_shot * shots if given is None else given

    def fit(self, task: Task) -> Classifier:
        config, backbone = self.config, task.backbone
        updates = self._updates(task)
        parameters = [p for update in updates.values() for p in update.parameters()]
        seed = int(torch.randint(2**62, (), generator=task.generator))
        noise = torch.Generator(task.device).manual_seed(seed)
        branches = {site: Branch(config.dropout, noise) for site in updates}
        adapts_images, adapts_text = config.adapts("vision"), config.adapts("text")

        def loss_of(data: tuple[Tensor, Tensor]) -> Tensor:
            inputs, labels = data
            for site, update in updates.items():
                branches[site].bind(update.factors())
            features = backbone.encode_image(inputs) if adapts_images else inputs
            text = backbone.text_features(task.classes) if adapts_text else task.text_features
            return F.cross_entropy(zero_shot_logits(features, text, backbone.logit_scale), labels)

        steps = self.steps(task.shots)
        batches = (
            image_batches(task, config.batch, steps)
            if adapts_images
            else feature_batches(task, config.views, config.batch, steps)
        )
        optimizer = torch.optim.AdamW(
            parameters, config.lr, (0.9, 0.999), weight_decay=config.weight_decay, fused=True
        )
        with backbone.inject(branches):
            measured = descend(
                task,
                optimizer,
                lambda step: cosine(step, steps, config.lr, config.floor_lr),
                batches,
                loss_of,
                steps,
            )
        factors = {site: detached(update) for site, update in updates.items()}
        return self._classifier(task, updates, factors, measured)

    def restore(self, task: Task, state: Mapping[str, Tensor]) -> Classifier:
        updates = self._updates(task)
        factors = {
            site: (state[f"{site}.up"].to(task.device), state[f"{site}.down"].to(task.device))
            for site in updates
        }
        return self._classifier(task, updates, factors, {})

    def _classifier(
        self,
        task: Task,
        updates: Mapping[str, Update],
        factors: Mapping[str, tuple[Tensor, Tensor]],
        measured: dict[str, float],
    ) -> Classifier:
        trainable = sum(p.numel() for update in updates.values() for p in update.parameters())
        deltas = {task.backbone.sites[site]: up @ down for site, (up, down) in factors.items()}
        shares = leakage(deltas, {linear: self.protected(linear) for linear in deltas})
        return LowRankClassifier(
            task.backbone, task.classes, factors, trainable, {**measured, **shares}
        )

    def _updates(self, task: Task) -> dict[str, Update]:
        """One update per chosen site, in the backbone's order."""
        chosen = {
            site: linear
            for site, linear in task.backbone.sites.items()
            if self.config.adapts(site.partition(".")[0])
            and site.rpartition(".")[2] in self.config.sites
        }
        for tower in ("vision", "text"):
            if self.config.adapts(tower) and not any(site.startswith(tower) for site in chosen):
                raise NotApplicable(
                    f"{self.name}: {task.backbone.name} has no linears to adapt in its {tower} "
                    "encoder; choose the other with `encoders`"
                )
        return {site: self.update(linear, task.generator) for site, linear in chosen.items()}


def image_batches(task: Task, batch: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`steps` pairs of freshly augmented images (B, 3, H, W) and labels (B,)."""
    labels = task.support.labels
    for chosen in minibatches(len(task.support), batch, steps, task.generator):
        images = task.support.batch(chosen, task.generator)
        yield images, labels[chosen.to(labels.device)]
