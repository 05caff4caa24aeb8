"""Deterministic fake cells and records: numbers that are easy to check, no model behind them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.store.identity import (
    BackboneIdentity,
    DataIdentity,
    DrawIdentity,
    Half,
    HeldOutIdentity,
    Identity,
    MethodIdentity,
    StageIdentity,
)
from harness.store.record import Cost, Draw, Failure, Record, Retention


@dataclass(frozen=True)
class FakeCell:
    """What `harness.plan.expand.Cell` offers to reports."""

    label: str
    method: str
    dataset: str
    shots: int
    seed: int
    note: str = ""
    protocol: str = "fixed"
    backbone: str = "glyphs"
    templates: tuple[str, ...] = ("a photo of a {}.",)
    sampler: str = "coop"
    half: Half | None = None
    of: str = ""

    @property
    def whole(self) -> str:
        return self.of or self.dataset

    @property
    def id(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()


METHODS = (
    "zero_shot",
    "linear_probe",
    "coop",
    "clip_adapter",
    "tip_adapter",
    "tip_adapter_f",
    "lora",
    "comp_lora",
)
DATASETS = ("digits", "georgian", "armenian", "cards", "tifinagh")
RETENTION = ("names", "digits", "cards")
_NOT_TRANSFERABLE = {"linear_probe", "tip_adapter", "tip_adapter_f"}


def grid(
    methods: Sequence[str] = METHODS,
    datasets: Sequence[str] = DATASETS,
    shots: Sequence[int] = (1, 4, 16),
    seeds: Sequence[int] = (1, 2, 3),
) -> list[FakeCell]:
    """Cells in plan order; zero_shot once per data set with shots 0 and seed 0."""
    cells = []
    for method in methods:
        note = "re-derivation" if method == "comp_lora" else ""
        axes = [(0, 0)] if method == "zero_shot" else [(k, s) for k in shots for s in seeds]
        for dataset in datasets:
            cells += [FakeCell(method, method, dataset, k, s, note) for k, s in axes]
    return cells


def noise(*address: object) -> float:
    """A fixed number in [−1, 1) for an address."""
    digest = hashlib.sha256(repr(address).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**47 - 1


def record(cell: FakeCell, top1: float | None = None, change: float | None = None) -> Record:
    """An ok record; `top1` and `change` override the made-up numbers."""
    frozen = 30 + 40 * abs(noise(cell.dataset))
    constant = cell.shots == 0
    strength = 2 + METHODS.index(cell.method) if cell.method in METHODS else 5
    if top1 is None:
        lift = 0.0 if constant else strength * math.log2(cell.shots + 1)
        lift += 0.0 if constant else 2 * noise(cell.dataset, cell.seed, cell.shots)
        lift += 0.0 if constant else noise(cell.label, cell.dataset, cell.seed, cell.shots)
        top1 = min(99.0, frozen + lift)
    retention: dict[str, Retention | None] = {}
    for name in RETENTION:
        if name == cell.dataset:
            continue
        level = 60.0 if name == "names" else 45.0
        moved = -strength * (0.4 + 0.1 * noise(cell.label, name, cell.seed, cell.dataset))
        moved *= math.log2(cell.shots + 1) * (0.5 if cell.method == "comp_lora" else 1)
        moved = change if change is not None else (0.0 if constant else moved)
        kept = Retention(
            {"images": 500, "top1": level + moved, "zero_shot_top1": level, "gain": moved},
            "rebind",
        )
        retention[name] = None if cell.method in _NOT_TRANSFERABLE else kept
    lost = 0 if constant else 4
    seconds = 0.0 if constant else strength * (1 + abs(noise(cell.id)))
    draw = Draw(
        id=hashlib.sha256(f"{cell.dataset}{cell.shots}{cell.seed}".encode()).hexdigest(),
        sampler="coop",
        images=cell.shots * 10,
        val_id="",
        val_images=0,
        classes=10,
    )
    return Record(
        id=cell.id,
        label=cell.label,
        identity=identity_of(cell, [(name, None) for name in retention]),
        status="ok",
        metrics={
            "images": 500,
            "top1": top1,
            "per_class_mean": top1 - 0.5,
            "ece": 5.0,
            "zero_shot_top1": frozen,
            "gain": top1 - frozen,
            "lost": lost,
            "won": 2 * lost,
        },
        retention=retention,
        cost=Cost(seconds, 0.2, 0.0, 0, 300.0, 0 if constant else 1000 * strength),
        draw=draw if cell.shots else None,
        details={"subspace_leakage_left": 0.0} if "lora" in cell.method else {},
        provenance={
            "git": {"commit": "0123abcd", "dirty": False},
            "versions": {"torch": "2.9.0", "harness": "0.1.0"},
            "hardware": {"device": "cpu", "cores": 2},
        },
    )


def identity_of(cell: FakeCell, held_out: Sequence[tuple[str, Half | None]]) -> Identity:
    """The identity of a cell that is tested on these sets as well, each whole or a half."""

    def data(name: str, half: Half | None) -> DataIdentity:
        return DataIdentity(name, "cd34", cell.templates, half, cell.of if half else None)

    others = tuple(HeldOutIdentity(data(name, half)) for name, half in held_out)
    return Identity(
        method=MethodIdentity(cell.method, {"lr": 0.001}, "ef56" * 16),
        protocol=cell.protocol,
        draw=DrawIdentity(cell.sampler, cell.shots, cell.seed) if cell.shots else None,
        backbone=BackboneIdentity(cell.backbone, "ab12" * 16, "fp32"),
        stages=(StageIdentity(data(cell.dataset, cell.half), others),),
    )


def records(cells: Sequence[FakeCell]) -> dict[str, Record]:
    """An ok record for every cell."""
    return {cell.id: record(cell) for cell in cells}


def failed(cell: FakeCell, message: str = "loss is not finite at step 12") -> Record:
    """A failure record of the cell."""
    failure = Failure("method", message, "Traceback …", 1)
    return replace(
        record(cell), status="failed", metrics=None, retention={}, cost=None, failure=failure
    )
