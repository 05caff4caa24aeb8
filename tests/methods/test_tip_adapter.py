from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.methods.heads.tip_adapter import Config, ConfigF, TipAdapter, TipAdapterF
from harness.run.support import FeatureSupport


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def numpy_logits(x, keys, values, text, alpha, beta, scale=10.0):
    affinity = unit(x) @ keys
    return scale * unit(x) @ text.T + alpha * np.exp(-beta * (1 - affinity)) @ values


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (1.17, 5.5), (0.0, 3.0), (2.0, 0.0)])
def test_logits_against_numpy(task, queries, alpha, beta):
    classifier = TipAdapter(Config(alpha=alpha, beta=beta)).fit(task)
    keys = unit(task.support.features.double().numpy()).T
    values = np.eye(3)[task.support.labels.numpy()]
    x, text = queries.features.double().numpy(), task.text_features.double().numpy()
    expected = numpy_logits(x, keys, values, text, alpha, beta)
    np.testing.assert_allclose(classifier.logits(queries).numpy(), expected, atol=1e-5)
    assert classifier.trainable == 0 and classifier.rebind(task.classes) is None


class TwoViews(FeatureSupport):
    """The second view of every image is turned by a quarter in its first two dimensions."""

    def views(self, count):
        assert count == 2
        x = self.features
        return torch.stack([x, torch.stack([-x[:, 1], x[:, 0], x[:, 2], x[:, 3]], dim=1) * 5])


def test_keys_are_the_mean_of_the_views_of_unit_length(task):
    support = TwoViews(task.support.features, task.support.labels, task.device)
    keys = TipAdapter(Config(views=2)).fit(replace(task, support=support)).state()["keys"]
    views = support.views(2).double().numpy()
    np.testing.assert_allclose(keys.T.numpy(), unit(views.mean(0)), atol=1e-6)


def test_f_without_steps_is_tip_adapter(task, queries):
    trained = TipAdapterF(ConfigF(steps=0)).fit(task)
    assert torch.equal(trained.logits(queries), TipAdapter().fit(task).logits(queries))
    assert trained.trainable == 4 * 6


def test_first_step_of_f_is_adamw(task):
    """K₁ = K₀ (1 − lr·decay) − lr g / (|g| + eps), g in closed form."""
    alpha, beta = 2.0, 3.0
    config = ConfigF(alpha=alpha, beta=beta, train_views=1, steps=1)
    keys = TipAdapterF(config).fit(task).state()["keys"]
    x, y = unit(task.support.features.double().numpy()), task.support.labels.numpy()
    start, values = x.T, np.eye(3)[y]
    scores = numpy_logits(x, start, values, task.text_features.double().numpy(), alpha, beta)
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    slope = (p - values) / len(y)  # ∂L/∂scores
    cache = alpha * beta * np.exp(-beta * (1 - x @ start))  # ∂scores/∂affinity, before the values
    g = x.T @ (slope @ values.T * cache)
    expected = start * (1 - 1e-3 * 1e-2) - 1e-3 * g / (np.abs(g) + 1e-4)
    np.testing.assert_allclose(keys.numpy(), expected, atol=1e-6)


def test_length_is_epochs_of_256(task):
    lengths = []
    watched = replace(task, progress=lambda step, steps: lengths.append(steps))
    TipAdapterF(ConfigF(train_views=1)).fit(watched)
    assert lengths == [20] * 20


def test_search_space_stays_within_the_released_bounds():
    for space in (TipAdapter.search_space, TipAdapterF.search_space):
        assert 0.1 <= min(space["beta"]) and max(space["beta"]) <= 50
        assert 0 < min(space["alpha"]) and max(space["alpha"]) <= 50
