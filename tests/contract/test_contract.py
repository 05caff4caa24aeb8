"""The contract holds for all methods, and catches methods that break it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from contract_methods import Good, Scores, outcome, sums

from harness.contract import run_contract
from harness.contract.toy import Planted, TestSetTouched, tiny_backbone
from harness.methods.prompts.coop import CoOp
from harness.plan.methods import find_method
from harness.task import Method, Work

torch.set_num_threads(1)

METHODS = {
    "zero_shot": {"exception", "learns", "chance"},
    "nearest_class_mean": {"zero", "transfer"},
    "linear_probe": {"zero", "transfer"},
    "coop": set(),
    "clip_adapter": set(),
    "tip_adapter": {"transfer"},
    "tip_adapter_f": {"transfer"},
    "lora": set(),
    "comp_lora": set(),
    "dora": set(),
    "flat_lora": set(),
    "lora_pro": set(),
    "eva": set(),
    "kgcoop": set(),
    "maple": set(),
}
"""Each method, with the first words of the checks that do not apply to it."""


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


@pytest.mark.parametrize("name", METHODS)
def test_method_keeps_the_contract(name, backbone):
    checks = run_contract(find_method(name), backbone)
    assert [check for check in checks if check.status == "failed"] == []
    skipped = {check.name for check in checks if check.status == "skipped"}
    for check in skipped:
        assert any(word in check for word in METHODS[name]), f"unexpectedly skipped: {check}"
    assert len(skipped) == len(METHODS[name])


def test_a_minimal_method_passes(backbone):
    assert [c for c in outcome(Good, backbone).values() if c.status == "failed"] == []


def broken(word):
    """Registers a method that breaks the check whose name holds `word`."""

    def register(method):
        BROKEN[word] = method
        return method

    return register


BROKEN: dict[str, type[Method]] = {}


@broken("declares")
class Mutable(Good):
    @dataclass
    class Config:
        steps: int = 1


@broken("logits have the right shape")
class BatchStatistics(Good):
    class Normalised(Scores):
        def logits(self, batch):
            scores = super().logits(batch)
            return scores - scores.mean(0)

    def fit(self, task):
        return self.Normalised(super().fit(task).means)


@broken("trainable and details")
class NotANumber(Good):
    def fit(self, task):
        classifier = super().fit(task)
        classifier.details = lambda: {"loss": float("nan")}
        return classifier


@broken("global randomness untouched")
class GlobalNoise(Good):
    def fit(self, task):
        classifier = super().fit(task)
        return Scores(classifier.means + 0.01 * torch.randn(classifier.means.shape))


@broken("backbone unchanged after a fit")
class Overwrites(Good):
    def fit(self, task):
        weight = task.backbone.sites["vision.0.q"].weight
        with torch.no_grad():
            weight.add_(1e-3)
        return super().fit(task)


@broken("backbone unchanged after an exception")
class LeavesAHook(Good):
    def fit(self, task):
        handle = task.backbone.sites["vision.0.q"].register_forward_hook(lambda *_: None)
        classifier = super().fit(task)
        handle.remove()
        return classifier


@broken("zero steps")
class NeverFrozen(Good):
    @dataclass(frozen=True)
    class Config:
        steps: int = 1


@broken("save and load")
class Forgetful(Good):
    def restore(self, task, state):
        return Scores(torch.zeros_like(state["means"]))


@broken("two classes")
class AtLeastThree(Good):
    def fit(self, task):
        if len(task.classes) < 3:
            raise IndexError("class 2")
        return super().fit(task)


@broken("single class")
class Mean(Good):
    def fit(self, task):
        features, labels = task.support.features, task.support.labels
        rows = [features[labels == c].mean(0) for c in range(len(task.classes))]
        return Scores(torch.stack(rows) - features.mean(0))


@broken("work is told")
class WorkAfterTheFit(Good):
    def fit(self, task):
        self.count = len(task.support)
        return super().fit(task)

    def work(self, classes, images, shots):
        return Work(steps=self.count)


@broken("transfer")
class WrongTransfer(Good):
    transfer = "kept"

    class Rebinds(Scores):
        def rebind(self, classes):
            return self

    def fit(self, task):
        return self.Rebinds(super().fit(task).means)


@broken("learns")
class LearnsNothing(Good):
    def fit(self, task):
        return Scores(0 * super().fit(task).means)


@pytest.mark.parametrize("word", BROKEN)
def test_a_broken_method_is_caught(word):
    checks = outcome(BROKEN[word], tiny_backbone())
    found = next(check for name, check in checks.items() if word in name)
    assert found.status == "failed", checks
    assert len(found.message) > 20


class OnlySeenClasses(Good):
    def fit(self, task):
        return Scores(sums(task)[: int(task.support.labels.max()) + 1])


class Logarithm(Good):
    class Log(Scores):
        def logits(self, batch):
            return super().logits(batch).log()

    def fit(self, task):
        return self.Log(super().fit(task).means)


class Forgot(Good):
    def fit(self, task):
        super().fit(task)


class Lists(Good):
    class Plain(Scores):
        def logits(self, batch):
            return super().logits(batch).tolist()

    def fit(self, task):
        return self.Plain(super().fit(task).means)


@pytest.mark.parametrize(
    ("method", "check", "said"),
    [
        (OnlySeenClasses, "a support set of a single class", "one column per name in task.classes"),
        (Mean, "a support set of a single class", "labels [0, 2, 3, 4, 5]"),
        (Mean, "a support set of a single class", "counts.clamp(min=1)"),
        (Logarithm, "logits have the right shape and are finite", "the logarithm of"),
        (GlobalNoise, "same seed, same classifier", "draw from task.generator only"),
        (GlobalNoise, "test set out of reach", "two fits on the same data differ"),
        (Forgot, "logits have the right shape", "fit returned NoneType, expected a Classifier"),
        (Lists, "logits have the right shape", "logits returned list, expected a torch tensor"),
        (Scores, "declares", "is not a class derived from harness.task.Method"),
    ],
)
def test_a_message_says_what_happened_and_how_to_mend_it(method, check, said, backbone):
    checks = outcome(method, backbone)
    found = next(value for name, value in checks.items() if name.startswith(check))
    assert found.status == "failed"
    assert said in found.message


def test_restore_is_optional(backbone):
    class Without(Method):
        name, Config, fit = Good.name, Good.Config, Good.fit

    found = outcome(Without, backbone)["save and load"]
    assert found.status == "skipped"
    assert "optional" in found.message


def test_a_misspelt_hook_is_not_passed_over(backbone):
    class Misspelt(CoOp):
        name = "misspelt"

        def losss(self, step):
            return super().loss(step)

    checks = outcome(Misspelt, backbone)
    assert 'did you mean "loss"?' in next(iter(checks.values())).message


def test_after_a_wrong_declaration_the_rest_is_skipped(backbone):
    checks = list(outcome(Mutable, backbone).values())
    assert checks[0].message == (
        "Config can be changed after creation: write @dataclass(frozen=True)"
    )
    assert {check.status for check in checks[1:]} == {"skipped"}


def test_a_crash_names_the_line(backbone):
    message = outcome(AtLeastThree, backbone)["two classes"].message
    assert message.startswith("IndexError: class 2 (")
    assert "test_contract.py:" in message


def test_the_locked_test_set_raises(backbone):
    with pytest.raises(TestSetTouched):
        _ = Planted(backbone).test
