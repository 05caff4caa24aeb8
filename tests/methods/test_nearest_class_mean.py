"""Nearest class mean against three classes by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from harness.methods.heads.nearest_class_mean import NearestClassMean
from harness.run.support import FeatureSupport, LazyBatch
from harness.task import Task


def test_logits_are_scaled_cosines_to_the_means_of_unit_features(
    task: Task, queries: LazyBatch
) -> None:
    x = task.support.features.numpy().astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    means = np.stack([(unit[2 * c] + unit[2 * c + 1]) / 2 for c in range(3)])
    q = queries.features.numpy().astype(np.float64)
    cosine = (q @ means.T) / np.outer(np.linalg.norm(q, axis=1), np.linalg.norm(means, axis=1))
    found = NearestClassMean().fit(task).logits(queries)
    np.testing.assert_allclose(found, 10 * cosine, atol=1e-5)


def test_lengths_of_features_do_not_matter(task: Task, queries: LazyBatch) -> None:
    lengths = torch.tensor([[9.0], [1.0], [0.1], [3.0], [2.0], [5.0]])
    longer = FeatureSupport(task.support.features * lengths, task.support.labels, task.device)
    other = NearestClassMean().fit(dataclasses.replace(task, support=longer))
    torch.testing.assert_close(other.logits(queries), NearestClassMean().fit(task).logits(queries))


def test_a_class_without_an_image_is_never_chosen(task: Task, queries: LazyBatch) -> None:
    some = FeatureSupport(task.support.features[:4], task.support.labels[:4], task.device)
    found = NearestClassMean().fit(dataclasses.replace(task, support=some)).logits(queries)
    assert torch.equal(found[:, 2], torch.full((2,), -10.0))
    away = LazyBatch(1, lambda: torch.empty(0), lambda: -task.support.features.sum(0)[None])
    assert NearestClassMean().fit(dataclasses.replace(task, support=some)).logits(away).argmax() < 2
