"""Methods that misbehave on purpose, written as a third party would: in a file of their own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.task import (
    Batch,
    Classes,
    Classifier,
    Method,
    NotApplicable,
    Task,
    zero_shot_logits,
)


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Marker:
    path: str = ""


class Constant(Classifier):
    def __init__(self, classes: int) -> None:
        self._classes = classes

    def logits(self, batch: Batch) -> torch.Tensor:
        return torch.eye(self._classes)[:1].expand(len(batch), -1)

    def rebind(self, classes: Classes) -> Classifier:
        return Constant(len(classes))


class Fails(Method):
    """Fails on one data set and works on the others."""

    name = "fails"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        if len(task.classes) == 10:
            raise RuntimeError("it broke")
        return Constant(len(task.classes))


class Skips(Method):
    name = "skips"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        raise NotApplicable("this tower has no attention sites")


class FillsTheDisk(Method):
    """Arises in the middle of something else, as a full disk does."""

    name = "fills_the_disk"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        try:
            raise OSError(28, "No space left on device", "/full/disk")
        except OSError as error:
            raise RuntimeError("could not write") from error


class WrongShape(Method):
    name = "wrong_shape"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        return Constant(len(task.classes) + 1)


class NotANumber(Method):
    name = "not_a_number"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        classifier = Constant(len(task.classes))
        classifier.details = lambda: {"loss": float("nan")}  # type: ignore[method-assign]
        return classifier


class Leaves(Method):
    name = "leaves"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        raise SystemExit(0)


class Vandal(Method):
    """Writes into every tensor it is given."""

    name = "vandal"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        for tensor in (
            task.text_features,
            task.support.features,
            task.support.views(2),
            task.support.labels,
            task.support.plain(torch.arange(2)),
        ):
            tensor.zero_()

        class Writes(Constant):
            def logits(self, batch: Batch) -> torch.Tensor:
                batch.features.zero_()
                batch.images.zero_()
                return super().logits(batch)

        return Writes(len(task.classes))


class DiesOnce(Method):
    """Ends its worker the first time (the file in its config marks it), as a kill -9 would."""

    name = "dies_once"
    Config = Marker

    def fit(self, task: Task) -> Classifier:
        marker = Path(self.config.path)
        if not marker.exists():
            marker.touch()
            os._exit(9)
        return Constant(len(task.classes))


class OutOfMemoryOnce(Method):
    name = "out_of_memory_once"
    Config = Marker

    def fit(self, task: Task) -> Classifier:
        marker = Path(self.config.path)
        if not marker.exists():
            marker.touch()
            raise MemoryError("too much")
        return Constant(len(task.classes))


class LosesTheGpu(Method):
    """Fails as a device-side assert does: in this process, every later cell of it fails too.

    The file in its config counts the processes that were lost; `limit` of them are, then it works.
    """

    @dataclass(frozen=True)
    class Config:
        path: str = ""
        limit: int = 1
        number: int = 0

    name = "loses_the_gpu"
    lost = False

    def fit(self, task: Task) -> Classifier:
        counter = Path(self.config.path)
        before = len(counter.read_text()) if counter.exists() else 0
        if type(self).lost or before < self.config.limit:
            if not type(self).lost:
                counter.write_text("x" * (before + 1))
            type(self).lost = True
            raise RuntimeError(
                "CUDA error: device-side assert triggered\nCUDA kernel errors might be "
                "asynchronously reported at some other API call"
            )
        return Constant(len(task.classes))


class Hangs(Method):
    """Trains for ever, and takes no exception for an answer."""

    name = "hangs"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue


class Slow(Method):
    name = "slow"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        time.sleep(0.3)
        return Constant(len(task.classes))


class Paced(Method):
    """Takes two seconds, until the file in its config is there."""

    @dataclass(frozen=True)
    class Config:
        path: str = ""

    name = "paced"

    def fit(self, task: Task) -> Classifier:
        until = time.monotonic() + 2
        while time.monotonic() < until and not Path(self.config.path).exists():
            time.sleep(0.05)
        return Constant(len(task.classes))


class Chooser(Method):
    """Its accuracy depends on nothing but its setting: it predicts that class."""

    @dataclass(frozen=True)
    class Config:
        guess: int = 0

    name = "chooser"
    search_space = {"guess": (0, 1, 2, 3)}  # noqa: RUF012

    def fit(self, task: Task) -> Classifier:
        assert not hasattr(task, "test")
        guess = self.config.guess

        class Guess(Classifier):
            def logits(self, batch: Batch) -> torch.Tensor:
                return torch.eye(len(task.classes))[guess].expand(len(batch), -1)

        return Guess()


@dataclass(frozen=True)
class Rate:
    rate: float = 1.0


class Sequel(Method):
    """The frozen model, and how many stages and classes came before."""

    name = "sequel"
    Config = Nothing

    def fit(self, task: Task) -> Classifier:
        return Continued(task, task.classes)


class Continued(Classifier):
    def __init__(self, task: Task, classes: Classes) -> None:
        self._task, self._classes = task, classes
        previous = task.previous
        self.stage = previous.stage + 1 if isinstance(previous, Continued) else 0
        self._before = len(previous._classes) if isinstance(previous, Continued) else 0

    def logits(self, batch: Batch) -> torch.Tensor:
        backbone = self._task.backbone
        text = backbone.text_features(self._classes)
        return zero_shot_logits(batch.features, text, backbone.logit_scale)

    def rebind(self, classes: Classes) -> Classifier:
        return Continued(self._task, classes)

    def details(self) -> dict[str, float]:
        return {"stage": self.stage, "classes_before": self._before}
