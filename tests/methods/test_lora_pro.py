"""LoRA-Pro against the full gradient, which autograd takes on the weight itself."""

import torch

from harness.contract.toy import Planted
from harness.methods.low_rank.lora_pro import Config, LoRAPro, adjusted, equivalent, projected


def case(seed=0, rows=7, columns=5, rank=2, s=1.7):
    """Factors, and G by autograd on W with the factors' own gradients, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*size):
        return torch.randn(size, generator=generator, dtype=torch.float64)

    w, a, b = draw(rows, columns), draw(rank, columns), draw(rows, rank)
    x, target = draw(11, columns), draw(11, rows)
    whole = (w + s * b @ a).requires_grad_()
    (gradient,) = torch.autograd.grad((x @ whole.T - target).square().sum(), whole)
    return a, b, gradient, s


def outside(b, a, matrix):
    """(I − P_B) M (I − P_A)."""
    p_b = b @ torch.linalg.inv(b.T @ b) @ b.T
    p_a = a.T @ torch.linalg.inv(a @ a.T) @ a
    return (torch.eye(len(p_b)) - p_b) @ matrix @ (torch.eye(len(p_a)) - p_a)


def test_equivalent_gradient_is_the_full_one_but_for_what_no_factor_reaches():
    a, b, g, s = case()
    found = equivalent(a, b, s * b.T @ g, s * g @ a.T, s)
    torch.testing.assert_close(found, g - outside(b, a, g))
    assert float((found * g).sum()) > 0, "a descent direction: ⟨g̃, G⟩ = ‖g̃‖²"
    torch.testing.assert_close((found * g).sum(), found.square().sum())


def test_no_step_of_the_factors_comes_nearer():
    """least squares over all (dA, dB) of ‖s(B dA + dB A) − G‖, by their own normal equations."""
    a, b, g, s = case(3)
    rank, columns = a.shape
    basis = [s * b @ e.view(rank, columns) for e in torch.eye(a.numel(), dtype=a.dtype)]
    basis += [s * e.view(b.shape) @ a for e in torch.eye(b.numel(), dtype=b.dtype)]
    stacked = torch.stack([matrix.flatten() for matrix in basis], dim=1)
    best = stacked @ torch.linalg.lstsq(stacked, g.flatten(), driver="gelsd").solution
    torch.testing.assert_close(equivalent(a, b, s * b.T @ g, s * g @ a.T, s).flatten(), best)


def test_a_projected_direction_has_that_effect_and_the_smallest_steps():
    a, b, d, s = case(5)
    new_a, new_b = projected(d, a, b, s)
    torch.testing.assert_close(s * (b @ new_a + new_b @ a), d - outside(b, a, d))
    size = new_a.square().sum() + new_b.square().sum()
    generator = torch.Generator().manual_seed(9)
    for _ in range(20):  # X is free: any other has the same effect and longer steps
        x = 0.1 * torch.randn(2, 2, generator=generator, dtype=torch.float64)
        other_a, other_b = new_a + x @ a, new_b - b @ x
        torch.testing.assert_close(s * (b @ other_a + other_b @ a), d - outside(b, a, d))
        assert other_a.square().sum() + other_b.square().sum() > size


def test_while_b_is_zero_only_b_moves():
    a, b, g, s = case()
    new_a, new_b = adjusted(a, 0 * b, 0 * s * b.T @ g, s * g @ a.T, s)
    assert not new_a.any()
    torch.testing.assert_close(new_b, g @ a.T @ torch.linalg.inv(a @ a.T) / s)


def test_a_step_moves_the_weight_along_adams_projected_direction(backbone):
    """After training with its own optimiser: Δ(ΔW) = −lr·(D − (I − P_B)D(I − P_A)), first order."""
    lr, seen = 1e-5, []

    class Watched(LoRAPro):
        def start(self, task):
            """From a B that is not zero: else a step of A is long, and the product of steps too."""
            tensors = super().start(task)
            for update in self.updates.values():
                update.b.normal_(generator=task.generator)
            return tensors

        def adam(self, site, gradient, count):
            direction = super().adam(site, gradient, count)
            u = self.updates[site]
            a, b = u.a.detach().double(), u.b.detach().double()
            if count == 4:
                seen.append((site, direction.clone(), a.clone(), b.clone()))
            return direction

    method = Watched(Config(steps=4, lr=lr, floor_lr=lr, sites=("v",), dropout=0.0))
    method.fit(Planted(backbone).task())
    assert len(seen) == 4
    for site, direction, a, b in seen:
        update = method.updates[site]
        before = update.scale * b @ a
        after = update.delta().detach().double()
        expected = -lr * (direction - outside(b, a, direction))
        gap = (after - before - expected).norm() / expected.norm()
        assert gap < 0.05, f"{site}: {gap:.3f} beyond second order"


def test_adam_on_the_equivalent_gradient_is_torchs():
    method = LoRAPro(Config())
    method.mean = {"x": torch.zeros(3, 4, dtype=torch.float64)}
    method.square = {"x": torch.zeros(3, 4, dtype=torch.float64)}
    p = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([p], lr=1.0)
    generator = torch.Generator().manual_seed(0)
    for count in range(1, 5):
        before = p.detach().clone()
        p.grad = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        mine = method.adam("x", p.grad.clone(), count)
        adam.step()
        torch.testing.assert_close(before - p.detach(), mine)
