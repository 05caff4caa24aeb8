"""Writing into what is handed out, or leaving it changed, is caught and named."""

from __future__ import annotations

import pytest
import torch
from contract_methods import Good, Scores, outcome

from harness.contract.toy import tiny_backbone


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


class WritesFeatures(Good):
    def fit(self, task):
        task.support.features.div_(2)
        return super().fit(task)


class WritesLabels(Good):
    def fit(self, task):
        means = super().fit(task).means
        task.support.labels.zero_()
        return Scores(means)


class WritesViews(Good):
    def fit(self, task):
        task.support.views(2)[1].zero_()
        return super().fit(task)


class TrainsTheText(Good):
    def fit(self, task):
        text = torch.nn.Parameter(task.text_features)
        optimiser = torch.optim.SGD([text], lr=0.1)
        (task.support.features @ text.T).sum().backward()
        optimiser.step()
        return super().fit(task)


class AsksForGradients(Good):
    def fit(self, task):
        task.text_features.requires_grad_()
        return super().fit(task)


class WritesTheBatch(Good):
    class Centred(Scores):
        def logits(self, batch):
            return batch.features.sub_(0.1) @ self.means.T

    def fit(self, task):
        return self.Centred(super().fit(task).means)

    def restore(self, task, state):
        return self.Centred(state["means"])


class WritesThePixels(Good):
    class Clipped(Scores):
        def logits(self, batch):
            batch.images.clamp_(0, 1)
            return super().logits(batch)

    def fit(self, task):
        return self.Clipped(super().fit(task).means)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (WritesFeatures, "fit wrote into task.support.features; "),
        (WritesLabels, "fit wrote into task.support.labels; "),
        (WritesViews, "fit wrote into task.support.views(2); "),
        (TrainsTheText, "fit wrote into task.text_features; "),
        (AsksForGradients, "fit left task.text_features requiring gradients; "),
        (WritesTheBatch, "logits wrote into batch.features; "),
        (WritesThePixels, "logits wrote into batch.images; "),
    ],
)
def test_writing_into_what_is_handed_out_is_caught(method, said, backbone):
    checks = outcome(method, backbone)
    found = checks["tensors of the task and the batch are as they were"]
    assert found.status == "failed"
    assert found.message.startswith(said)
    assert found.message.endswith(".clone()")
    others = [c for c in checks.values() if c.status == "failed" and c is not found]
    assert others == [], "no other check speaks of it in riddles"
