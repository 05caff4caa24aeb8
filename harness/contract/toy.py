"""A synthetic few-shot task in memory, with a signal planted in it: what the contract runs on.

Every class has a picture of its own; its images are that picture under noise. The test set is
locked, so that touching it before its time is noticed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.backbones import Backbone
from harness.run.support import LazyBatch
from harness.task import Batch, Classes, Classifier, Support, Task

NAMES = ("red circle", "blue square", "green star", "black cross", "white arrow", "small letter")
OTHER = Classes(("large digit", "yellow moon", "gray line"))


class TestSetTouched(AssertionError):
    """Something read the test set while it was locked."""

    __test__ = False


class MemorySupport(Support):
    """Images (N, 3, H, W) with labels (N,); features are those of `backbone`, kept."""

    def __init__(self, images: Tensor, labels: Tensor, backbone: Backbone) -> None:
        self.labels = labels.to(backbone.device)
        self._images = images
        self._backbone = backbone
        self._kept: dict[int, Tensor] = {}

    @property
    def features(self) -> Tensor:
        return self._encoded(-1, lambda: self.plain(torch.arange(len(self))))

    def views(self, count: int) -> Tensor:
        def view(number: int) -> Tensor:
            generator = torch.Generator().manual_seed(number)
            return self.batch(torch.arange(len(self)), generator)

        return torch.stack([self._encoded(n, lambda n=n: view(n)) for n in range(count)])  # type: ignore[misc]

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        images = self._images[indices]
        jitter = 0.2 * torch.randn(images.shape, generator=generator)
        return (images + jitter).to(self._backbone.device)

    def plain(self, indices: Tensor) -> Tensor:
        return self._images[indices].to(self._backbone.device)

    @torch.no_grad()
    def _encoded(self, key: int, images: Callable[[], Tensor]) -> Tensor:
        if key not in self._kept:
            self._kept[key] = self._backbone.encode_image(images())
        return self._kept[key]


class WatchedSupport(MemorySupport):
    """Keeps every tensor that it hands out beside a copy, so that writing into one is noticed."""

    def __init__(self, images: Tensor, labels: Tensor, backbone: Backbone) -> None:
        super().__init__(images, labels, backbone)
        self.shared = [("task.support.labels", self.labels, self.labels.clone())]

    @property
    def features(self) -> Tensor:
        return self._watched("task.support.features", super().features)

    def views(self, count: int) -> Tensor:
        return self._watched(f"task.support.views({count})", super().views(count))

    def _watched(self, name: str, tensor: Tensor) -> Tensor:
        self.shared.append((name, tensor, tensor.clone()))
        return tensor


class WatchedBatch(Batch):
    """Hands out its tensors themselves, and keeps a copy beside each."""

    def __init__(self, images: Tensor, features: Tensor) -> None:
        self._images, self._features = images, features
        self.shared = [
            ("batch.images", images, images.clone()),
            ("batch.features", features, features.clone()),
        ]

    def __len__(self) -> int:
        return len(self._images)

    @property
    def images(self) -> Tensor:
        return self._images

    @property
    def features(self) -> Tensor:
        return self._features


class Planted:
    """`classes` classes with `shots` training and 20 test images each.

    Args:
        shuffled: training labels say nothing of the images: each picture carries all labels
            equally often (`shots` is a multiple of `classes`).
        test_seed: permutes the test labels where it is not 0.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int = len(NAMES),
        shots: int = 4,
        shuffled: bool = False,
        test_seed: int = 0,
    ) -> None:
        self.backbone, self.shots = backbone, shots
        self.classes = Classes(NAMES[:classes])
        self.locked = True
        generator = torch.Generator().manual_seed(7)
        coarse = torch.randn(classes, 3, 4, 4, generator=generator)
        self._pictures = 1.5 * F.interpolate(coarse, backbone.image_size, mode="bilinear")
        truth = torch.arange(classes).repeat_interleave(shots)
        self._images = self._render(truth, generator)
        self._labels = torch.arange(len(truth)) % classes if shuffled else truth
        test = torch.arange(classes).repeat_interleave(20)
        self._test_images = self._render(test, generator)
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(test_seed))
        self._test_labels = test[order] if test_seed else test

    def _render(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        pictures = self._pictures[labels]
        return pictures + 0.25 * torch.randn(pictures.shape, generator=generator)

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """Test images and labels.

        Raises:
            TestSetTouched: the set is still locked.
        """
        if self.locked:
            raise TestSetTouched("the test set was read during a fit")
        return self._test_images, self._test_labels

    @torch.no_grad()
    def task(
        self,
        seed: int = 0,
        progress: Callable[[int, int], None] = lambda step, steps: None,
        only: int | None = None,
        support: type[MemorySupport] = MemorySupport,
    ) -> Task:
        """A task with a fresh generator; `only` keeps the images of one class alone."""
        keep = slice(None) if only is None else self._labels == only
        return Task(
            classes=self.classes,
            shots=self.shots,
            support=support(self._images[keep], self._labels[keep].clone(), self.backbone),
            val=None,
            backbone=self.backbone,
            text_features=self.backbone.text_features(self.classes),
            generator=torch.Generator().manual_seed(seed),
            device=self.backbone.device,
            progress=progress,
        )

    def accuracy(self, classifier: Classifier) -> float:
        """Top-1 in percent on the test set, which it unlocks."""
        self.locked = False
        images, labels = self.test
        chosen = classifier.logits(as_batch(images, self.backbone)).argmax(-1).cpu()
        return 100 * float((chosen == labels).float().mean())


@torch.no_grad()
def as_batch(images: Tensor, backbone: Backbone) -> LazyBatch:
    """(n, 3, H, W) images with their frozen features."""
    images = images.to(backbone.device)
    features = backbone.encode_image(images)
    return LazyBatch(len(images), lambda: images, lambda: features)


def probe(backbone: Backbone, images: int = 5) -> LazyBatch:
    """A few images of no class, to compare classifiers on."""
    generator = torch.Generator().manual_seed(11)
    size = backbone.image_size
    return as_batch(torch.randn(images, 3, size, size, generator=generator), backbone)


def tiny_backbone(seed: int = 0) -> Backbone:
    """A CLIP of random weights, two layers and 64 wide, that reads 32 × 32 pixels.

    Attention weights are twice as large as open_clip draws them, so that features differ more.
    """
    from open_clip.model import CLIP

    from harness.backbones.glyphs import load_config, load_tokenizer

    vocabulary = load_config()["model_cfg"]["text_cfg"]["vocab_size"]
    vision = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32}
    text = {"context_length": 40, "vocab_size": vocabulary, "width": 64, "heads": 2, "layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIP(embed_dim=32, vision_cfg=vision, text_cfg=text)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".attn." in name and weight.ndim == 2:
                weight.mul_(2)
    return Backbone(model, load_tokenizer(), name=f"tiny-{seed}")
