import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.methods.heads.linear_probe import Config, LinearProbe
from harness.methods.heads.logistic import logistic_regression
from harness.run.support import FeatureSupport, LazyBatch


def softmax(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("normalise", [False, True])
def test_solution_is_stationary(task, c, normalise):
    """At the minimum of ½‖W‖² + C Σ CE: W = C Σ (onehot − p) fᵀ, and Σ (onehot − p) = 0."""
    classifier = LinearProbe(Config(C=c, normalise=normalise)).fit(task)
    f = task.support.features.double().numpy()
    if normalise:
        f = f / np.linalg.norm(f, axis=1, keepdims=True)
    w, b = classifier.weight.double().numpy(), classifier.bias.double().numpy()
    residual = np.eye(3)[task.support.labels.numpy()] - softmax(f @ w.T + b)
    np.testing.assert_allclose(w, c * residual.T @ f, atol=1e-5 * max(1, c))
    np.testing.assert_allclose(residual.sum(0), 0, atol=1e-5)


def test_two_classes_are_one_sigmoid(task):
    pair = replace(task, classes=replace(task.classes, names=("one", "two")))
    support = FeatureSupport(task.support.features[:4], task.support.labels[:4], task.device)
    classifier = LinearProbe().fit(replace(pair, support=support))
    f, y = support.features.double().numpy(), support.labels.numpy()
    w, b = classifier.weight.double().numpy(), classifier.bias.double().numpy()
    assert not w[0].any() and b[0] == 0
    p = 1 / (1 + np.exp(-(f @ w[1] + b[1])))
    np.testing.assert_allclose(w[1], (y - p) @ f, atol=2e-3)


def test_absent_class_is_never_chosen_and_changes_nothing(task, queries):
    support = FeatureSupport(task.support.features, task.support.labels, task.device)
    four = replace(task.classes, names=(*task.classes.names, "four"))
    wider = LinearProbe().fit(replace(task, classes=four, support=support)).logits(queries)
    torch.testing.assert_close(wider[:, :3], LinearProbe().fit(task).logits(queries))
    assert (wider[:, 3] < wider[:, :3].min() - 1000).all()


def test_running_out_of_iterations_is_in_the_record(task):
    short = LinearProbe(Config(C=1e6, iterations=3)).fit(task).details()
    assert (short["iterations"], short["converged"]) == (3.0, 0.0)
    assert short["gradient"] > 1e-3
    whole = LinearProbe(Config()).fit(task).details()
    assert whole["converged"] == 1.0 and whole["gradient"] < 1e-6


@pytest.fixture(scope="module")
def many():
    """Unit-length features of 100 classes with one image each, 64 dimensions."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(100, 64, generator=generator) + 3.0  # as CLIP's: all in a narrow cone
    return torch.nn.functional.normalize(features, dim=-1), torch.arange(100)


@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
def test_the_minimum_is_reached_on_unit_features_of_many_classes(many, c):
    """Where scikit-learn's tolerance ends after a few steps. Gradients by autograd in float64."""
    features, labels = many
    found = logistic_regression(features, labels, c, 1000, 1e-10)
    w, b = (t.clone().requires_grad_() for t in (found.weight, found.bias))
    scores = features.double() @ w.T + b
    entropy = torch.nn.functional.cross_entropy(scores, labels, reduction="sum")
    (0.5 * w.square().sum() + c * entropy).backward()
    size = float(found.weight.norm())
    assert float(torch.hypot(w.grad.norm(), b.grad.norm())) / size == pytest.approx(
        found.gradient, rel=1e-3, abs=1e-12
    )
    assert found.gradient < 1e-5


@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
def test_a_hundredth_of_the_tolerance_changes_nothing(many, c):
    features, labels = many
    found = logistic_regression(features, labels, c, 1000, 1e-10).weight
    finer = logistic_regression(features, labels, c, 5000, 1e-12).weight
    assert float((found - finer).norm() / finer.norm()) < 1e-4
    if c > 1:
        loose = logistic_regression(features, labels, c, 1000, 1e-4).weight
        assert float((loose - finer).norm() / finer.norm()) > 1e-3, "scikit-learn's own does"


def test_fewer_images_than_dimensions_are_the_same_problem(many):
    """Solved in the span of the features, against scikit-learn on all dimensions."""
    from sklearn.linear_model import LogisticRegression

    features, labels = many[0][:40].double(), many[1][:40] % 8
    found = logistic_regression(features, labels, 3.0, 1000, 1e-10)
    plain = LogisticRegression(C=3.0, tol=1e-10, max_iter=1000).fit(features.numpy(), labels)
    np.testing.assert_allclose(found.weight.numpy(), plain.coef_, atol=1e-5)


def test_trainable_counts_weights_and_biases(task):
    assert LinearProbe().fit(task).trainable == 3 * 4 + 3


def test_search_bisects_towards_the_peak():
    """By hand for a score that falls with |log10 C − 0.7|: eight halvings end at 0.703125."""
    tried = []

    def evaluate(config):
        tried.append(math.log10(config.C))
        return -abs(math.log10(config.C) - 0.7)

    best = LinearProbe().search(evaluate, LinearProbe.search_space)
    assert math.log10(best.C) == pytest.approx(0.703125)
    assert tried[:9] == pytest.approx([6, 4, 2, 0, -2, -4, -6, -1, 1])
    assert len(tried) == len(set(tried)) == 7 + 2 + 6, "every value is fitted once"


def test_search_over_another_space_is_a_grid():
    best = LinearProbe().search(
        lambda config: float(config.normalise) - config.C, {"C": (1.0, 2.0), "normalise": (0, 1)}
    )
    assert (best.C, best.normalise) == (1.0, 1)


def test_logits_are_linear(task, queries):
    classifier = LinearProbe().fit(task)
    doubled = LazyBatch(2, lambda: None, lambda: 2 * queries.features)
    gap = classifier.logits(doubled) - classifier.logits(queries)
    torch.testing.assert_close(gap, queries.features @ classifier.weight.T)
