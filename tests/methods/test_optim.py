import math

import pytest
import torch

from harness.methods.heads.clip_adapter import Config as AdapterConfig
from harness.methods.optim import coop_budget, cosine, descend, kaiming_uniform, minibatches
from harness.methods.prompts.coop import Config as CoOpConfig


def test_cosine_is_pytorchs():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=1e-3)
    for step in range(7):
        assert cosine(step, 7, 0.1, 1e-3) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("shots", "images", "steps"),
    [
        (1, 10, 50),  # fewer than a batch: nothing is dropped, one step per epoch
        (2, 20, 100),
        (4, 40, 100),  # 40 images: one batch of 32, the rest dropped
        (8, 80, 400),
        (16, 160, 1000),
    ],
)
def test_coop_length_by_shots(shots, images, steps):
    assert coop_budget(CoOpConfig(), images, shots)[0] == steps
    assert coop_budget(AdapterConfig(), images, shots)[0] == steps


def test_coop_schedule():
    steps, rate = coop_budget(CoOpConfig(epochs=10), images=64, shots=16)
    assert steps == 20
    by_epoch = [rate(2 * epoch) for epoch in range(10)]
    assert by_epoch == [rate(2 * epoch + 1) for epoch in range(10)], "constant within an epoch"
    assert by_epoch[0] == 1e-5
    assert by_epoch[1] == pytest.approx(0.002)
    assert by_epoch[6] == pytest.approx(0.001), "half way through the cosine of ten epochs"
    assert by_epoch[9] == pytest.approx(0.001 * (1 + math.cos(0.8 * math.pi)))


def test_budget_in_steps_replaces_epochs():
    steps, rate = coop_budget(CoOpConfig(epochs=10, steps=7), images=64, shots=16)
    assert steps == 7
    assert rate(6) == pytest.approx(cosine(2, 4, 0.002)), "seven steps are begun in four epochs"
    assert coop_budget(CoOpConfig(steps=0), images=64, shots=16)[0] == 0


@pytest.mark.parametrize(
    ("images", "drop_last", "sizes"),
    [
        (20, True, [20]),
        (20, False, [20]),
        (40, True, [32]),
        (40, False, [32, 8]),
        (64, True, [32] * 2),
    ],
)
def test_minibatches(images, drop_last, sizes):
    generator = torch.Generator().manual_seed(0)
    epochs = 3
    batches = list(minibatches(images, 32, epochs * len(sizes), generator, drop_last))
    assert [len(batch) for batch in batches] == sizes * epochs
    orders = []
    for epoch in range(epochs):
        order = torch.cat(batches[epoch * len(sizes) : (epoch + 1) * len(sizes)]).tolist()
        assert len(set(order)) == len(order), "no image twice in an epoch"
        orders.append(tuple(order))
    assert len(set(orders)) == epochs, "a new order every epoch"


def test_kaiming_uniform_is_pytorchs_linear_start():
    drawn = kaiming_uniform(300, 50, torch.Generator().manual_seed(0))
    bound = math.sqrt(6 / ((1 + 5) * 50))
    assert drawn.abs().max() <= bound
    assert drawn.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_divergence_is_an_error_that_names_the_rate(task):
    x = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=1e30)
    with pytest.raises(FloatingPointError, match=r"after 5 steps: lower lr = 1e\+30"):
        descend(task, optimizer, lambda step: 1e30, range(5), lambda _: (x**4).sum(), 5)
