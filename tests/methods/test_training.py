import math
from dataclasses import dataclass, replace

import pytest
import torch

from harness.methods.batches import index_batches
from harness.methods.heads.clip_adapter import CLIPAdapter
from harness.methods.heads.clip_adapter import Config as AdapterConfig
from harness.methods.initial import kaiming_uniform
from harness.methods.prompts.coop import Config as CoOpConfig
from harness.methods.prompts.coop import CoOp
from harness.methods.schedule import Schedule, cosine, drawn_shots
from harness.methods.training import Trained
from harness.task import Classifier, Work


def coop_budget(config, images, shots):
    """Steps and rate by step of CoOp's schedule."""
    method = CoOp if isinstance(config, CoOpConfig) else CLIPAdapter
    how = method(config).schedule(10, images, shots)
    return how.steps, how.rate


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
    batches = list(index_batches(images, 32, epochs * len(sizes), generator, drop_last))
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


class Descent(Trained):
    """min over x of Σ x⁴ from 1, by SGD; keeps what the hooks were told."""

    name = "descent"

    @dataclass(frozen=True)
    class Config:
        lr: float = 0.1
        steps: int = 6
        batch: int = 4

    def start(self, task):
        self.heard = []
        return {"x": torch.ones(2), "y": torch.ones(2)}

    def schedule(self, classes, images, shots):
        c = self.config
        return Schedule(c.steps, lambda step: c.lr, c.batch, views=2)

    def groups(self):
        return [{"params": [self.tensors["x"]]}, {"params": [self.tensors["y"]], "rate": 2.0}]

    def optimizer(self, groups):
        return torch.optim.SGD(groups, self.config.lr)

    def loss(self, step):
        self.heard.append(("loss", step.number))
        return sum((t**4).sum() for t in self.tensors.values())

    def before_step(self, step):
        self.heard.append(("before", step.number))

    def after_backward(self, step):
        assert all(t.grad is not None for t in self.tensors.values())
        self.heard.append(("backward", step.number))

    def after_step(self, step):
        self.heard.append(("after", step.number))

    def end_epoch(self, step):
        self.heard.append(("epoch", step.epoch))

    def classifier(self, task, state, measured):
        made = Nothing()
        made.learnt, made.measured = state, measured
        return made


class Nothing(Classifier):
    def logits(self, batch):
        raise NotImplementedError


def test_hooks_come_in_order(task):
    """Six images in batches of four: two steps an epoch."""
    method = Descent()
    method.fit(task)
    step = ["before", "loss", "backward", "after"]
    expected = [(word, number) for number in range(6) for word in step]
    for epoch in (2, 1, 0):
        expected.insert(8 * (epoch + 1), ("epoch", epoch))
    assert method.heard == expected


def test_a_group_has_its_own_rate(task):
    """x₁ = 1 − lr·4x³ and y₁ = 1 − 2lr·4y³."""
    learnt = Descent(Descent.Config(steps=1, lr=0.05)).fit(task).learnt
    torch.testing.assert_close(learnt["x"], torch.full((2,), 0.8))
    torch.testing.assert_close(learnt["y"], torch.full((2,), 0.6))


def test_the_first_and_last_loss_and_the_progress_are_told(task):
    """Σ x⁴ + Σ y⁴ from 1 is 4; after a step of lr .05 it is 2·(.8⁴ + .6⁴)."""
    told = []
    task = replace(task, progress=lambda step, steps: told.append((step, steps)))
    measured = Descent(Descent.Config(steps=2, lr=0.05)).fit(task).measured
    assert measured == pytest.approx({"first_loss": 4.0, "last_loss": 2 * (0.8**4 + 0.6**4)})
    assert told == [(1, 2), (2, 2)]
    assert Descent(Descent.Config(steps=0)).fit(task).measured == {}


class Budget(Descent):
    """30 steps of 32 images, of which `trains` says what goes through the encoders."""

    trains = ()
    views = 0

    def schedule(self, classes, images, shots):
        return Schedule(30, lambda step: 0.1, 32, views=self.views)

    def adapts(self, tower):
        return tower in self.trains


@pytest.mark.parametrize(
    ("trains", "views", "expected"),
    [
        ((), 0, Work(steps=30, images=30 * 20)),
        ((), 3, Work(steps=30, views=3 * 20)),
        (("text",), 0, Work(steps=30, images=30 * 20, prompts_trained=30 * 5)),
        (("vision",), 0, Work(steps=30, images_trained=30 * 20, adapts_images=True)),
    ],
)
def test_work_counts_passes(trains, views, expected):
    """Twenty images of five classes: fewer than a batch, so a batch is all of them."""
    method = Budget()
    method.trains, method.views = trains, views
    assert method.work(classes=5, images=20, shots=4) == expected


def test_a_gradient_is_whole_only_if_every_number_of_it_is(task):
    """Under fp16 one infinite gradient among finite ones skips the step."""

    class Half(Descent):
        def loss(self, step):
            self.heard.append(("loss", step.number))
            last = self.tensors["y"][1] * (float("inf") if step.number == 1 else 1.0)
            return sum((t**4).sum() for t in self.tensors.values()) + last

    task.backbone.precision = "fp16-amp"
    method = Half(Descent.Config(steps=3, lr=0.05))
    method.fit(task)
    assert [what for what, number in method.heard if number == 1] == ["before", "loss"]


def test_cached_views_have_no_pixels(task):
    class Looks(Descent):
        def loss(self, step):
            return step.images.sum()

    with pytest.raises(ValueError, match="cached views have no pixels: set views = 0"):
        Looks().fit(task)


def test_divergence_is_an_error_that_names_the_rate(task):
    with pytest.raises(FloatingPointError, match=r"after 6 steps: lower lr = 1e\+30"):
        Descent(Descent.Config(lr=1e30)).fit(task)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda x: 1.5, "gave float"),
        (lambda x: x.square(), r"gave shape \(2,\)"),
        (lambda x: x.detach().sum(), "gave one that depends on no trained tensor"),
    ],
)
def test_a_loss_that_is_none_is_named(task, loss, said):
    class Wrong(Descent):
        def loss(self, step):
            return loss(self.tensors["x"])

    with pytest.raises(TypeError, match=rf"descent: loss\(step\) {said}, expected one number"):
        Wrong().fit(task)


def test_an_overflowing_step_is_skipped_with_its_hooks(task):
    """Under fp16 a gradient that is not finite moves nothing, and no hook hears of it."""

    class Overflow(Descent):
        def loss(self, step):
            return super().loss(step) * (float("inf") if step.number == 1 else 1.0)

    task.backbone.precision = "fp16-amp"
    method = Overflow(Descent.Config(steps=2, lr=0.05))
    with pytest.raises(FloatingPointError, match="the loss is inf"):
        method.fit(task)
    assert [what for what, number in method.heard if number == 1] == ["before", "loss"]


def test_budgets_in_steps_per_shot_count_images_drawn():
    assert drawn_shots(16, 160, 10) == 16
    assert drawn_shots(1000, 40, 10) == 4, "a pool of four images a class"
    assert drawn_shots(8, 45, 10) == 5
