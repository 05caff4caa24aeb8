"""The parts of a tower by name: its blocks, the linears in them, and every parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from harness.backbones.attention import split_attention

MLP = (("c_fc", "c_proj"), ("fc1", "fc2"))
"""What open_clip and timm call the two linears of a block's MLP; here they are `up` and `down`."""


@dataclass(frozen=True)
class Block:
    """A residual block: where it lies in its tower, and its linears: q, k, v, out, up, down."""

    path: str
    linears: dict[str, nn.Linear]


class Place(NamedTuple):
    """Where a parameter lives: the module and the attribute of it."""

    module: nn.Module
    attribute: str

    def get(self) -> Tensor:
        """What the model computes with now."""
        found: Tensor = getattr(self.module, self.attribute)
        return found


def split_blocks(tower: nn.Module, within: str = "") -> list[Block]:
    """Split every self-attention of `tower` (of its submodule `within`) in place, in depth order.

    A block whose MLP is not of two plain linears (gated ones) has no `up` and `down`.
    """
    modules = list(tower.get_submodule(within).named_modules(prefix=within))
    blocks = {child: (path, parent) for path, parent in modules for child in parent.children()}
    found = []
    for attn, (path, block) in blocks.items():
        linears = split_attention(block, attn)
        if linears is not None:
            found.append(Block(path, linears | _mlp(block)))
    return found


def _mlp(block: Any) -> dict[str, nn.Linear]:
    mlp = getattr(block, "mlp", None)
    for names in MLP:
        up, down = (getattr(mlp, name, None) for name in names)
        if isinstance(up, nn.Linear) and isinstance(down, nn.Linear):
            return {"up": up, "down": down}
    return {}


@dataclass(frozen=True)
class Tower:
    """One of the two encoders, `vision` or `text`: the module that holds it, and its blocks."""

    name: str
    root: nn.Module
    blocks: list[Block]

    def sites(self) -> dict[str, nn.Linear]:
        """`{tower}.{depth}.{part}` → linear, in depth order."""
        return {
            f"{self.name}.{depth}.{part}": linear
            for depth, block in enumerate(self.blocks)
            for part, linear in block.linears.items()
        }

    def places(self) -> dict[str, Place]:
        """Every parameter that a feature depends on, by name.

        A site's parameters carry the site's name: `vision.0.q.weight`. A block is called by its
        depth: `vision.0.ln_1.bias`. The others have their path in the tower: `vision.proj`.
        """
        own = {linear: site for site, linear in self.sites().items()}
        found = {}
        for path, module in self.root.named_modules():
            name = own.get(module) or self._name(path)
            for attribute, _ in module.named_parameters(recurse=False):
                found[f"{name}.{attribute}"] = Place(module, attribute)
        # A native CLIP's text tower is the model itself, which holds these besides.
        beside = ("text.visual.", "text.logit_")
        return {name: place for name, place in found.items() if not name.startswith(beside)}

    def _name(self, path: str) -> str:
        for depth, block in enumerate(self.blocks):
            if path == block.path or path.startswith(f"{block.path}."):
                return f"{self.name}.{depth}{path.removeprefix(block.path)}"
        return f"{self.name}.{path}".rstrip(".")


def open_towers(model: Any) -> tuple[Tower, Tower]:
    """The image and the text encoder of an open_clip model, their attention split in place."""
    text = getattr(model, "text", model)
    blocks = split_blocks(text, "transformer" if text is model else "")
    return Tower("vision", model.visual, split_blocks(model.visual)), Tower("text", text, blocks)
