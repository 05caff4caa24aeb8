import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from harness.contract.toy import Planted
from harness.methods.low_rank.comp_lora import CompLoRA, Config
from harness.methods.low_rank.lora import LoRA
from harness.methods.low_rank.spectra import leading, leakage, spectrum

FORMS = ["reduced", "projector"]


def linear(rows=12, columns=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = nn.Linear(columns, rows, bias=False)
    made.weight = nn.Parameter(torch.randn(rows, columns, generator=generator), False)
    return made


def trained(w, **options):
    """An update with random A and B, as far from the start as training could take it."""
    generator = torch.Generator().manual_seed(1)
    update = CompLoRA(Config(rank=3, **options)).update("text.0.q", w, generator)
    for parameter in update.tensors.values():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return update


def numpy_svd(w):
    u, sigma, vt = np.linalg.svd(w.weight.double().numpy())
    return u, sigma, vt.T


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("keep", "keep_as", "k"), [(4, "count", 4), (0.5, "ratio", 5)])
@pytest.mark.parametrize("shape", [(12, 10), (10, 12), (10, 10)])
def test_update_lies_in_the_complement(form, keep, keep_as, k, shape):
    w = linear(*shape)
    delta = trained(w, form=form, keep=keep, keep_as=keep_as).delta().detach().double().numpy()
    u, sigma, v = numpy_svd(w)
    assert np.abs(u[:, :k].T @ delta).max() < 1e-5
    assert np.abs(delta @ v[:, :k]).max() < 1e-5
    assert np.linalg.matrix_rank(delta, tol=1e-4) == 3
    changed = w.weight.double().numpy() + delta
    np.testing.assert_allclose(changed @ v[:, :k], u[:, :k] * sigma[:k], atol=1e-5)
    np.testing.assert_allclose(changed.T @ u[:, :k], v[:, :k] * sigma[:k], atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sides", ["input", "output"])
def test_one_side_alone(form, sides):
    w = linear()
    delta = trained(w, form=form, sides=sides).delta().detach().double().numpy()
    u, _, v = numpy_svd(w)
    inside = {
        "output": np.abs(u[:, :5].T @ delta).max(),
        "input": np.abs(delta @ v[:, :5]).max(),
    }
    assert inside.pop(sides) < 1e-5
    assert inside.popitem()[1] > 1e-2


def test_k_0_spans_loras_updates():
    """Any B A of LoRA's is reached: B' = Uᵀ B, A' = A V."""
    w = linear()
    u, _, v = (torch.from_numpy(part).float() for part in numpy_svd(w))
    lora = LoRA(Config(rank=3)).update("text.0.q", w, torch.Generator().manual_seed(2))
    lora.b.normal_(generator=torch.Generator().manual_seed(3))
    comp = trained(w, keep=0, keep_as="count")
    basis = spectrum(w)
    a, b = comp.tensors.values()
    assert a.shape == lora.a.shape and b.shape == lora.b.shape
    a.data, b.data = lora.a @ basis.v, basis.u.T @ lora.b
    torch.testing.assert_close(comp.delta().detach(), lora.delta(), atol=1e-5, rtol=0)
    projected = trained(w, keep=0, keep_as="count", form="projector")
    projected.a.data, projected.b.data = lora.a, lora.b
    torch.testing.assert_close(projected.delta().detach(), lora.delta(), atol=1e-6, rtol=0)
    assert u.shape == (12, 12) and v.shape == (10, 10)


def test_both_forms_reach_the_same_updates():
    w, k = linear(), 4
    reduced = trained(w, keep=k, keep_as="count", form="reduced")
    projector = trained(w, keep=k, keep_as="count", form="projector")
    basis = spectrum(w)
    u, v = basis.u[:, k:], basis.v[:, k:]

    goal = projector.delta().detach()
    reduced.a.data, reduced.b.data = projector.a.data @ v, u.T @ projector.b.data
    torch.testing.assert_close(reduced.delta().detach(), goal, atol=1e-5, rtol=0)

    reduced = trained(w, keep=k, keep_as="count", form="reduced")
    goal = reduced.delta().detach()
    projector.a.data, projector.b.data = reduced.a.data @ v.T, u @ reduced.b.data
    torch.testing.assert_close(projector.delta().detach(), goal, atol=1e-5, rtol=0)


def test_reduced_form_by_its_definition():
    """s·U_c B A V_cᵀ, s = α/√r, with LAPACK's own singular vectors up to their signs."""
    w = linear()
    update = trained(w, keep=4, keep_as="count", alpha=2.0)
    basis = spectrum(w)
    a, b = update.a.detach(), update.b.detach()
    assert a.shape == (3, 10 - 4) and b.shape == (12 - 4, 3)
    expected = 2 / math.sqrt(3) * basis.u[:, 4:] @ b @ a @ basis.v[:, 4:].T
    torch.testing.assert_close(update.delta().detach(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("keep", "keep_as", "k"),
    [
        (0.0, "energy", 0),
        (0.6, "energy", 1),  # 9/14 = .643
        (0.65, "energy", 2),  # 13/14 = .929
        (0.95, "energy", 3),
        (0.5, "ratio", 2),  # 1.5, rounded up
        (0.3, "ratio", 1),
        (0.45, "ratio", 1),  # 1.35, rounded down
        (9 / 14, "energy", 1),  # exactly what the first holds
        (2, "count", 2),
    ],
)
def test_leading_by_hand(keep, keep_as, k):
    assert leading(torch.tensor([3.0, 2.0, 1.0]), keep, keep_as) == k


def test_leakage_by_hand():
    """W = diag(3, 2, 1), k = 1: the protected directions are the first axes."""
    w = nn.Linear(3, 3, bias=False)
    w.weight = nn.Parameter(torch.diag(torch.tensor([3.0, 2.0, 1.0])), False)
    delta = torch.tensor([[1.0, 2.0, 0.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.0]])
    shares = leakage({w: delta}, {w: 1})
    assert shares["subspace_leakage_left"] == pytest.approx(5 / 15)
    assert shares["subspace_leakage_right"] == pytest.approx(2 / 15)
    assert shares["subspace_share"] == pytest.approx(1 / 3)
    # With a second linear the sums are over both: its ΔW = 2I has 4 of its 12 in the first axis.
    other = nn.Linear(3, 3, bias=False)
    other.weight = nn.Parameter(w.weight.clone(), False)
    shares = leakage({w: delta, other: 2 * torch.eye(3)}, {w: 1, other: 1})
    assert shares["subspace_leakage_left"] == pytest.approx((5 + 4) / (15 + 12))
    assert shares["subspace_leakage_right"] == pytest.approx((2 + 4) / (15 + 12))
    assert shares["subspace_share"] == pytest.approx(2 / 6)
    # No update at all leaks nothing.
    shares = leakage({w: torch.zeros(3, 3)}, {w: 1})
    assert shares["subspace_leakage_left"] == shares["subspace_leakage_right"] == 0.0


def test_spectrum_follows_a_written_weight():
    w = linear()
    before = spectrum(w)
    assert spectrum(w) is before, "computed once"
    with torch.no_grad():
        w.weight.mul_(2)
    torch.testing.assert_close(spectrum(w).sigma, 2 * before.sigma)


@pytest.mark.parametrize("form", FORMS)
def test_adam_does_not_leave_the_complement(backbone, form):
    task = Planted(backbone).task()
    details = CompLoRA(Config(steps=8, lr=0.03, form=form)).fit(task).details()
    assert details["subspace_leakage_left"] < 1e-10
    assert details["subspace_leakage_right"] < 1e-10
    assert details["last_loss"] < details["first_loss"]


def test_parameters(backbone):
    """r·(in − k + out − k) per site in the reduced form, LoRA's r·(in + out) in the other."""
    for options, count in (
        ({}, 12 * 2 * (32 + 32)),
        ({"form": "projector"}, 12 * 2 * (64 + 64)),
        ({"keep": 0.25}, 12 * 2 * (48 + 48)),
        ({"sides": "input"}, 12 * 2 * (32 + 64)),
    ):
        task = Planted(backbone).task()
        assert CompLoRA(Config(steps=0, **options)).fit(task).trainable == count


def test_label_says_it_is_a_re_derivation():
    assert CompLoRA.note == "re-derivation"


def test_protecting_everything_is_an_error(backbone):
    with pytest.raises(ValueError, match=r"comp_lora: keep = 64 \(count\) protects all 64"):
        CompLoRA(Config(keep=64, keep_as="count")).fit(Planted(backbone).task())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 1.0}, "keep = 1.0: expected a share below 1"),
        ({"keep": 1.5, "keep_as": "count"}, "keep = 1.5: expected a whole number"),
        ({"form": "reducd"}, "form"),
        ({"rank": 0}, "rank"),
    ],
)
def test_wrong_options_are_quoted(options, message):
    with pytest.raises(ValueError) as error:
        Config(**options)
    assert message in str(error.value)


def test_all_combinations_of_options_start_at_the_frozen_model(backbone):
    for form, sides in itertools.product(FORMS, ("both", "input", "output")):
        w = backbone.sites["vision.0.q"]
        update = CompLoRA(Config(form=form, sides=sides)).update("text.0.q", w, torch.Generator())
        assert not update.delta().any()
