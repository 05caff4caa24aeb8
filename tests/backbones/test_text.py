"""The packed text path gives what the model's own forward pass gives, in features and gradients."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_clip import random_branches
from torch import Tensor

from harness.backbones import Backbone
from harness.backbones.packing import GROUP_WORK, common_prefix, group_runs

OUTPUT, GRADIENT = 1e-5, 1e-4

NAMES = ["cat", "sea urchin", "b", "boeing 747-400", "cat", "annual crop land"]


def coop(backbone: Backbone, names: Sequence[str], where: str, rows: int = 5) -> list[list[int]]:
    """CoOp prompts with the class name behind, amid or before the learnt context."""
    context = [-1 - j for j in range(rows)]
    cut = {"end": rows, "middle": rows // 2, "front": 0}[where]
    return [
        [backbone.sot, *context[:cut], *backbone.tokenize(n), *context[cut:], backbone.eot]
        for n in names
    ]


def class_specific(backbone: Backbone, names: Sequence[str], rows: int = 3) -> list[list[int]]:
    return [
        [backbone.sot, *range(-1 - rows * c, -1 - rows * (c + 1), -1), *backbone.tokenize(n),
         backbone.eot]
        for c, n in enumerate(names)
    ]  # fmt: skip


def framed(backbone: Backbone, texts: Sequence[str]) -> list[list[int]]:
    return [[backbone.sot, *backbone.tokenize(text), backbone.eot] for text in texts]


CASES: dict[str, Callable[[Backbone], list[list[int]]]] = {
    "context at the end": lambda b: coop(b, NAMES, "end"),
    "context around the name": lambda b: coop(b, NAMES, "middle"),
    "context behind the name": lambda b: coop(b, NAMES, "front"),
    "class-specific context": lambda b: class_specific(b, NAMES),
    "one class": lambda b: coop(b, NAMES[:1], "end"),
    "equal prompts": lambda b: coop(b, ["cat", "cat"], "end"),
    "one prompt begins another": lambda b: framed(b, ["", "cat", "cat cat", "cat cat cat"]),
    "nothing in common": lambda b: framed(b, ["a cat", "the dog", "two birds on a wire"]),
    "up to the last position": lambda b: framed(b, ["a", " ".join(["word"] * 38)]),
}


def compare(backbone: Backbone, prompts: list[list[int]], inject: bool) -> tuple[float, float]:
    """Largest difference of the features, and of the gradients relative to the largest one."""
    rows = max(1, -min(min(p) for p in prompts))
    generator = torch.Generator().manual_seed(0)
    context = 0.1 * torch.randn(rows, backbone.context_dim, generator=generator)
    context.requires_grad_()
    branches = random_branches(backbone, only="text") if inject else {}
    weights = [branch.weight for branch in branches.values()]
    cotangent = torch.randn(len(prompts), backbone.feature_dim, generator=generator)

    def run(encode: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        with backbone.inject(branches):
            features = encode(prompts, context)
        grads = torch.autograd.grad(features, [context, *weights], cotangent)
        return features, torch.cat([g.flatten() for g in grads])

    (fast, g_fast), (plain, g_plain) = (
        run(backbone.encode_prompts), run(backbone.encode_prompts_plain)
    )  # fmt: skip
    scale = float(g_plain.abs().max()) or 1.0
    return float((fast - plain).detach().abs().max()), float((g_fast - g_plain).abs().max()) / scale


@pytest.fixture(params=[0.0, 1e9, 1e5], ids=["no padding", "one group", "some padding"])
def grouping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUP_WORK, "cpu", request.param)


@pytest.mark.usefixtures("grouping")
@pytest.mark.parametrize("inject", [False, True], ids=["frozen", "adapted"])
@pytest.mark.parametrize("case", CASES)
def test_packed_equals_plain(backbone: Backbone, case: str, inject: bool) -> None:
    prompts = CASES[case](backbone)
    if not inject and min(min(p) for p in prompts) >= 0:
        with torch.no_grad():
            fast, plain = backbone.encode_prompts(prompts), backbone.encode_prompts_plain(prompts)
        assert (fast - plain).abs().max() <= OUTPUT
        return
    output, gradient = compare(backbone, prompts, inject)
    assert output <= OUTPUT
    assert gradient <= GRADIENT


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("abc ", min_size=1, max_size=12), min_size=1, max_size=8), st.data())
def test_packed_equals_plain_for_any_class_list(names: list[str], data: st.DataObject) -> None:
    backbone = _shared()
    where = data.draw(st.sampled_from(["end", "middle", "front"]))
    work = data.draw(st.sampled_from([0.0, 3e3, 1e9]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(GROUP_WORK, "cpu", work)
        backbone._pack.cache_clear()
        output, gradient = compare(backbone, coop(backbone, names, where), inject=True)
    assert output <= OUTPUT
    assert gradient <= GRADIENT


def _shared(kept: list[Backbone] = []) -> Backbone:  # noqa: B006  # built once per session
    if not kept:
        from open_clip.tokenizer import SimpleTokenizer
        from small_clip import small_clip

        kept.append(Backbone(small_clip(), SimpleTokenizer(context_length=40), name="small"))
    return kept[0]


def test_packed_equals_plain_under_autocast(make: Callable[..., Backbone]) -> None:
    half, full = make(precision="bf16"), make()
    prompts = coop(half, NAMES, "end")
    context = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    exact = full.encode_prompts(prompts, context)
    for encode in (half.encode_prompts, half.encode_prompts_plain):
        features = encode(prompts, context)
        assert features.dtype == torch.float32
        assert 0 < (features - exact).norm() / exact.norm() < 0.02


def test_a_dropped_shared_token_is_dropped_for_all_prompts(backbone: Backbone) -> None:
    prompts = coop(backbone, ["cat", "dog"], "end")
    torch.manual_seed(0)
    with backbone.inject({"text.0.v": torch.nn.Dropout(0.5)}):
        one, two = backbone.encode_prompts(prompts + prompts, torch.randn(5, 32)).chunk(2)
    assert not torch.equal(one, two), "own tokens draw a mask each"


def test_gradients_are_the_same_bit_for_bit_with_more_threads_than_one(backbone: Backbone) -> None:
    prompts = coop(backbone, [f"class {i}" for i in range(60)], "front", rows=30)
    context = torch.randn(30, 32, requires_grad=True)

    def gradient() -> Tensor:
        return torch.autograd.grad(backbone.encode_prompts(prompts, context).sum(), context)[0]

    torch.set_num_threads(2)
    try:
        assert all(torch.equal(gradient(), gradient()) for _ in range(5))
    finally:
        torch.set_num_threads(1)


def test_common_prefix_leaves_each_prompt_a_token_of_its_own() -> None:
    assert common_prefix([(7, 1, 2, 9), (7, 1, 3, 9)]) == 2
    assert common_prefix([(7, 1, 9), (7, 1, 9)]) == 2
    assert common_prefix([(7, 9)]) == 1
    assert common_prefix([(7, 1, 9), (8, 1, 9)]) == 0


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=7).map(sorted),
    st.sampled_from([0.0, 0.5, 1.5, 4.0, 100.0]),
)
def test_groups_are_cut_where_it_pays_most(lengths: list[int], cost: float) -> None:
    """Against all 2^(n−1) ways to cut."""

    def price(runs: list[tuple[int, int]]) -> float:
        return sum(cost + (stop - start) * lengths[stop - 1] for start, stop in runs)

    def ways(start: int) -> list[list[tuple[int, int]]]:
        if start == len(lengths):
            return [[]]
        stops = range(start + 1, len(lengths) + 1)
        return [[(start, stop), *rest] for stop in stops for rest in ways(stop)]

    runs = group_runs(lengths, cost)
    assert [start for start, _ in runs] == [0, *(stop for _, stop in runs[:-1])]
    assert runs[-1][1] == len(lengths)
    assert price(runs) == min(map(price, ways(0)))
