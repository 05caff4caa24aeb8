from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.methods.heads.clip_adapter import CLIPAdapter, Config


def numpy_logits(x, down, up, ratio, text, scale):
    adapted = np.maximum(np.maximum(x @ down, 0) @ up, 0)
    y = ratio * adapted + (1 - ratio) * x
    return scale * (y / np.linalg.norm(y, axis=1, keepdims=True)) @ text.T


@pytest.mark.parametrize("ratio", [0.0, 0.2, 1.0])
def test_logits_against_numpy(task, queries, ratio):
    """A full adapter (a = 1) here keeps some unit alive, so that no feature is zero."""
    state = {
        "down": torch.tensor([[0.5], [-0.2], [0.3], [0.1]]),
        "up": torch.tensor([[0.7, -0.3, 0.2, 0.4]]),
    }
    classifier = CLIPAdapter(Config(ratio=ratio)).restore(task, state)
    down, up = (state[name].double().numpy() for name in ("down", "up"))
    expected = numpy_logits(
        queries.features.double().numpy(), down, up, ratio, task.text_features.numpy(), 10.0
    )
    np.testing.assert_allclose(classifier.logits(queries).numpy(), expected, atol=1e-5)
    assert classifier.trainable == 8


def test_first_step_is_sgd_at_the_warm_up_rate(task):
    """p₁ = p₀ − 1e-5 (∂L/∂p + 5e-4 p₀), the derivative by central differences in float64."""
    config = Config(views=1, batch=32, ratio=0.5, warmup_lr=0.5)
    start = CLIPAdapter(replace(config, steps=0)).fit(task).state()
    task.generator.manual_seed(0)
    end = CLIPAdapter(replace(config, steps=1)).fit(task).state()
    x, y = task.support.features.double().numpy(), task.support.labels.numpy()
    values = {name: tensor.double().numpy() for name, tensor in start.items()}

    def loss():
        scores = numpy_logits(x, values["down"], values["up"], 0.5, task.text_features.numpy(), 10)
        log_z = np.log(np.exp(scores).sum(1))
        return (log_z - scores[np.arange(6), y]).mean()

    for name, value in values.items():
        gradient = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            kept = value[index]
            value[index] = kept + 1e-6
            above = loss()
            value[index] = kept - 1e-6
            gradient[index] = (above - loss()) / 2e-6
            value[index] = kept
        expected = value - 0.5 * (gradient + 5e-4 * value)
        np.testing.assert_allclose(end[name].numpy(), expected, atol=2e-5)


def test_defaults_are_the_papers():
    config = Config()
    assert (config.ratio, config.reduction, config.lr, config.batch) == (0.2, 4, 1e-5, 32)
    assert (config.momentum, config.weight_decay) == (0.9, 5e-4)


def test_parameters_on_a_real_width(backbone):
    """Two matrices of d × d/4, no biases: 131,072 for ViT-B/16's d = 512."""
    from harness.contract.toy import Planted

    d = backbone.feature_dim
    classifier = CLIPAdapter(Config(steps=0)).fit(Planted(backbone).task())
    assert classifier.trainable == d * d // 2
