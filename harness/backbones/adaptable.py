"""`Adaptable`: a frozen model whose parts can be read, replaced and shifted for a while."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from harness.backbones.changes import Changes, Hooks, Replace, Swap
from harness.backbones.sites import Place, Tower

Take = Callable[[str, Tensor, Tensor], None]
"""take(site, x, weights), with x (T, in) and weights (T,)."""


class Adaptable:
    """What methods do to a model, each in a `with` block; behind it the model is bit for bit as
    before, also after an exception. Blocks nest, and the outer ones act first.

    Attributes:
        sites: the linears by name: `vision.0.q`, `.k`, `.v`, `.out`, `.up`, `.down`, …,
            `text.0.q`, …, in depth order.
        parameters: every frozen tensor that a feature depends on, by name: `vision.0.q.weight`,
            `vision.0.ln_1.bias`, `text.positional_embedding`, …. The logit scale is not among
            them: no feature depends on it, and a method that trains one keeps its own.
    """

    sites: Mapping[str, nn.Linear]
    parameters: Mapping[str, Tensor]

    def _open(self, *towers: Tower) -> None:
        self.sites = {name: linear for tower in towers for name, linear in tower.sites().items()}
        self._places = {name: at for tower in towers for name, at in tower.places().items()}
        self.parameters = {name: place.get() for name, place in self._places.items()}
        self._changes = Changes()
        self._standing: Tensor | None = None

    def inject(self, branches: Mapping[str, nn.Module]) -> AbstractContextManager[None]:
        """`with backbone.inject({"vision.0.q": branch}):` adds branch(x) to the named linears.

        x is the linear's input, (…, in) → (…, out): (n, L, in) in the image tower, (T, in) in a
        packed text tower, where a token that all prompts share occurs once.

        Raises:
            KeyError: a name is no site; quotes it and the nearest valid one.
        """
        return self.intercept({site: _adding(branch) for site, branch in branches.items()})

    def intercept(self, replace: Mapping[str, Replace]) -> AbstractContextManager[None]:
        """`with backbone.intercept({"text.0.v": fn}):` puts fn(x, y) in place of the output y.

        x (…, in) and y (…, out) as in `inject`, and so the errors.
        """
        _check(replace, self.sites, "injection site")
        return self._changes.applied(Hooks([(self.sites[s], fn) for s, fn in replace.items()]))

    def observe(self, sites: Iterable[str], take: Take) -> AbstractContextManager[None]:
        """`with backbone.observe(sites, take):` calls take(site, x, weights) in every forward pass.

        x (T, in) are the inputs of the site, without gradient; weights (T,) say for how many
        prompts or images a token stands. An image's tokens weigh 1. Text is packed: a prefix that
        n prompts share comes once and weighs n, what lies behind an end token weighs 0. A tower
        that is not causal reads its padding, which then weighs 1.

        Seen is what is computed: in the last block, `q`, `out`, `up` and `down` have the class
        tokens and the end tokens alone where `ClassTokenBlock` and the packed path allow it.
        """

        def taking(site: str) -> Replace:
            def look(x: Tensor, y: Tensor) -> Tensor:
                flat = x.detach().flatten(0, -2)
                take(site, flat, self._weights(site, flat))
                return y

            return look

        return self.intercept({site: taking(site) for site in sites})

    def _weights(self, site: str, x: Tensor) -> Tensor:
        standing = self._standing if site.startswith("text.") else None
        if standing is not None and len(standing) == len(x):
            return standing
        return torch.ones(len(x), device=x.device)

    @contextmanager
    def _counting(self, standing: Tensor | None) -> Iterator[None]:
        """Inside, the text tower computes tokens that each stand for so many prompts."""
        self._standing = standing
        try:
            yield
        finally:
            self._standing = None

    def substitute(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """`with backbone.substitute({"vision.0.q": weight}):` computes with these tensors.

        A name is a site's, which stands for its weight, or one of `parameters`. Gradients flow
        into the tensors. What a trained update comes to, W + ΔW, without the cost of a branch.

        Raises:
            KeyError: a name is neither; quotes it and the nearest valid one.
            ValueError: a tensor has not the shape of the one that it stands for.
        """
        return self._changes.applied(Swap({self._place(n, t): t for n, t in tensors.items()}))

    def shift(
        self, deltas: Mapping[str, Tensor], scale: float = 1.0
    ) -> AbstractContextManager[None]:
        """`with backbone.shift({"vision.ln_post.bias": delta}, 0.5):` W + scale·delta for W.

        Half of an update is WiSE-FT's interpolation (Wortsman et al., CVPR 2022). Names, gradients
        and errors as in `substitute`; W is what the model computes with where the block begins.
        """
        return self.substitute({n: self._place(n, d).get() + scale * d for n, d in deltas.items()})

    def frozen(self) -> AbstractContextManager[None]:
        """`with backbone.frozen():` is the frozen model: whatever is in force outside is off.

        Observers too; to observe the frozen model, do so inside.
        """
        return self._changes.laid_aside()

    def _place(self, name: str, tensor: Tensor) -> Place:
        """Where `tensor` is to stand for the parameter called `name`."""
        weight = f"{name}.weight" if name in self.sites else name
        _check([weight], self._places, "parameter or site")
        here, given = tuple(self._places[weight].get().shape), tuple(tensor.shape)
        if here != given:
            raise ValueError(f"{name!r} has shape {here}, what stands for it {given}")
        return self._places[weight]


def _adding(branch: nn.Module) -> Replace:
    return lambda x, y: y + branch(x)


def _check(names: Iterable[str], known: Mapping[str, object], what: str) -> None:
    for name in names:
        if not known:
            raise KeyError(f"no {what} {name!r}: this backbone has none")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            towers = ", ".join(sorted({one.split(".")[0] for one in known}))
            raise KeyError(f"no {what} {name!r} (did you mean {near!r}?); towers: {towers}")
