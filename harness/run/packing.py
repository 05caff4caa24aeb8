"""Which cells train as replicas, in one batched computation (`Method.fit_together`).

They share everything but the seed and the settings that the method names in `packs`. The numbers
are those of cells run one by one but for float rounding, which depends on what is packed with what:
hence `harness run --pack` asks for it. A search over a grid always packs its candidates, as these
belong to one cell and are the same in every run on a kind of device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.canonical import canonical
from harness.plan.cell import Cell
from harness.plan.methods import find_method
from harness.task import Method

LIMIT = 24
"""Replicas in a pack, at most: beyond it arithmetic dominates and memory only grows."""


def can_pack(method: type[Method], precision: str) -> bool:
    """Whether replicas of a method may train together; not under fp16-amp, whose loss scale each
    replica would need for itself."""
    return method.packs is not None and precision != "fp16-amp"


def search_packs(method: type[Method], precision: str) -> bool:
    """Whether the candidates of a search train together: not those of a method's own search, which
    may ask for few points of the grid."""
    return can_pack(method, precision) and method.search is Method.search


def packs(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Cells grouped to be run together, in the order of each group's first."""
    groups: dict[str, list[list[Cell]]] = {}
    for cell in cells:
        groups_of_key = groups.setdefault(_key(cell), [[]])
        if len(groups_of_key[-1]) == LIMIT:
            groups_of_key.append([])
        groups_of_key[-1].append(cell)
    position = {cell.id: number for number, cell in enumerate(cells)}
    found = [tuple(group) for several in groups.values() for group in several]
    return sorted(found, key=lambda group: position[group[0].id])


def alike(method: type[Method], configs: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Numbers of the configurations (JSON values) that may train together, at most `LIMIT`."""
    groups: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        groups.setdefault(canonical(_shared(method, config)), []).append(number)
    return [
        members[start : start + LIMIT]
        for members in groups.values()
        for start in range(0, len(members), LIMIT)
    ]


def _key(cell: Cell) -> str:
    """Equal for cells that may be packed; the cell's own id where it may not be."""
    method = find_method(cell.method)
    if not can_pack(method, cell.precision) or cell.protocol != "fixed":
        return cell.id
    same = {k: v for k, v in cell.identity.items() if k not in ("seed", "sampler", "method")}
    config = _shared(method, cell.config)
    return canonical({**same, "method": {**cell.identity["method"], "config": config}})


def _shared(method: type[Method], config: Any) -> dict[str, Any]:
    free = method.packs or frozenset()
    return {name: value for name, value in config.items() if name not in free}
