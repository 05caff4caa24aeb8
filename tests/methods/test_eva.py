"""EVA against NumPy's eigenvectors of inputs that were collected by hooks of the test's own."""

import numpy as np
import pytest
import torch

from harness.contract.toy import Planted, probe
from harness.methods.heads.zero_shot import ZeroShot
from harness.methods.low_rank.eva import EVA, Config, Moments, redistributed


def test_inputs_in_a_plane_are_told_by_two_components():
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(2, 6, generator=generator)
    x = torch.randn(50, 2, generator=generator) @ plane + torch.randn(6, generator=generator)
    moments = Moments.none(6, torch.device("cpu"))
    for part in x.split(20):
        moments.add(part, torch.ones(len(part)))
    shares, directions = moments.components(4)
    assert float(shares[:2].sum()) == pytest.approx(1)
    assert float(shares[2:].abs().max()) < 1e-9
    torch.testing.assert_close(directions @ directions.T, torch.eye(4, dtype=torch.float64))
    centred = (x - x.mean(0)).double().numpy()
    _, vectors = np.linalg.eigh(centred.T @ centred)
    for mine, theirs in zip(directions[:2].numpy(), vectors.T[::-1], strict=False):
        assert abs(mine @ theirs) == pytest.approx(1, abs=1e-6)


def test_a_token_counts_as_often_as_its_weight():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    weighted, repeated = (Moments.none(2, torch.device("cpu")) for _ in range(2))
    weighted.add(x, torch.tensor([3.0, 1.0, 0.0]))
    repeated.add(x[[0, 0, 0, 1]], torch.ones(4))
    for mine, theirs in zip(weighted.components(2), repeated.components(2), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_ranks_go_where_most_is_explained():
    shares = {
        "one": torch.tensor([0.9, 0.05]),
        "two": torch.tensor([0.4, 0.3]),
        "three": torch.tensor([0.02, 1e-9]),
    }
    assert redistributed(shares, 3) == {"one": 1, "two": 2, "three": 0}
    assert redistributed(shares, 6) == {"one": 2, "two": 2, "three": 1}, "rounding is no direction"


def collected(backbone, task, site):
    """The inputs of a vision site, by a hook of PyTorch's."""
    found = []
    handle = backbone.sites[site].register_forward_pre_hook(
        lambda module, inputs: found.append(inputs[0].flatten(0, -2))
    )
    with torch.no_grad():
        backbone.encode_image(task.support.plain(torch.arange(len(task.support))))
    handle.remove()
    return torch.cat(found).double().numpy()


def test_a_starts_in_the_inputs_principal_directions(backbone):
    task = Planted(backbone).task()
    method = EVA(Config(steps=0, rho=1.0))
    method.fit(task)
    for site in ("vision.0.q", "vision.1.v"):
        x = collected(backbone, task, site)
        x -= x.mean(0)
        _, vectors = np.linalg.eigh(x.T @ x)
        a = method.updates[site].a.detach().numpy()
        np.testing.assert_allclose(a @ a.T, np.eye(2), atol=1e-5)
        captured = np.linalg.norm(a @ vectors[:, -2:])
        assert captured == pytest.approx(np.sqrt(2), abs=1e-4), site


@pytest.mark.parametrize("rho", [1.0, 2.0])
def test_the_budget_is_kept_after_training(backbone, rho):
    method = EVA(Config(steps=3, lr=0.02, rho=rho))
    classifier = method.fit(Planted(backbone).task())
    ranks = {site: delta.up.shape[1] for site, delta in classifier.deltas.items()}
    for tower in ("vision", "text"):
        own = [rank for site, rank in ranks.items() if site.startswith(tower)]
        assert sum(own) == 2 * 6
        assert max(own) <= 2 * rho
    if rho == 1:
        assert set(ranks.values()) == {2}
    assert classifier.trainable == sum(rank * 2 * 64 for rank in ranks.values())


def test_zero_steps_are_exactly_the_frozen_model(backbone):
    task, images = Planted(backbone).task(), probe(backbone)
    classifier = EVA(Config(steps=0)).fit(task)
    assert torch.equal(classifier.logits(images), ZeroShot().fit(task).logits(images))
