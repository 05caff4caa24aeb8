"""How cost grows: `python benchmarks/scaling.py [--out FOLDER] [--quick]`.

Seconds and peak memory of single fits and scores against classes, shots and test images; of the
engine against cells; of a whole suite against workers; with the exponent b of seconds ∝ n^b over
the upper half of each range. And a test of `harness plan`: its cost model learns from one small
suite and predicts another, which is then run.

One thread, the embedded backbone, synthetic images (cost does not depend on what they show).
Writes scaling.csv, scaling.md and scaling.svg. Three to five minutes on two cores.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reports"))

from synthetic import grid, records

from harness.backbones import Backbone, load_backbone
from harness.backbones.spec import BackboneSpec
from harness.contract.toy import MemorySupport, as_batch
from harness.executors.base import Settings
from harness.executors.make import make_executor
from harness.executors.runner import run_plan
from harness.methods.heads.clip_adapter import CLIPAdapter
from harness.methods.heads.linear_probe import LinearProbe
from harness.methods.heads.tip_adapter import TipAdapterF
from harness.methods.low_rank.lora import LoRA
from harness.methods.prompts.coop import CoOp
from harness.plan.estimate import Estimator
from harness.plan.expand import Plan, make_plan
from harness.plan.suite import load_suite
from harness.reports import assemble, gather
from harness.reports.drawing import svg
from harness.reports.style import looks
from harness.run.cost import Meter
from harness.store.store import Store
from harness.task import Classes, Method, Task

SUITES = Path(__file__).parents[1] / "suites"
STEPS = 20
METHODS: dict[str, Method] = {
    "coop": CoOp(CoOp.Config(steps=STEPS, views=2)),
    "clip_adapter": CLIPAdapter(CLIPAdapter.Config(steps=STEPS, views=2)),
    "tip_adapter_f": TipAdapterF(TipAdapterF.Config(steps=STEPS, views=2, train_views=2)),
    "linear_probe": LinearProbe(LinearProbe.Config(C=1e-3)),
    "lora": LoRA(LoRA.Config(steps=STEPS, batch=16)),
}
Row = tuple[str, str, int, float, float]
"""Axis, what, n, seconds, peak MiB."""


def make_task(backbone: Backbone, classes: int, shots: int) -> Task:
    """Noise under names of one to three tokens."""
    generator = torch.Generator().manual_seed(classes + shots)
    labels = torch.arange(classes).repeat_interleave(shots)
    size = backbone.image_size
    images = torch.randn(len(labels), 3, size, size, generator=generator)
    names = Classes(tuple(f"letter {number}" for number in range(classes)))
    with torch.no_grad():
        text = backbone.text_features(names)
    support = MemorySupport(images, labels, backbone)
    _ = support.features, support.views(2)  # what every method finds in the cache
    return Task(names, shots, support, None, backbone, text, generator)


def fits(backbone: Backbone, axis: str, sizes: tuple[int, ...]) -> Iterator[Row]:
    """Seconds and memory of one fit of each method, by classes (1 shot) or shots (10 classes)."""
    for n in sizes:
        classes, shots = (n, 1) if axis == "classes" else (10, n)
        for name, method in METHODS.items():
            method.fit(make_task(backbone, classes, shots)) if n == sizes[0] else None
            task = make_task(backbone, classes, shots)
            with Meter(backbone.device) as meter:
                method.fit(task)
            yield axis, f"{name}, {STEPS} steps", n, meter.seconds, meter.peak_memory_mib


def scores(backbone: Backbone, sizes: tuple[int, ...]) -> Iterator[Row]:
    """Seconds of scoring by an adapted image encoder, in batches of 256, by test images."""
    classifier = METHODS["lora"].fit(make_task(backbone, 10, 1))
    side = backbone.image_size
    for n in sizes:
        with Meter(backbone.device) as meter, torch.no_grad():
            for start in range(0, n, 256):
                images = torch.zeros(min(256, n - start), 3, side, side)
                classifier.logits(as_batch(images, backbone))
        yield "test images", "lora, scored", n, meter.seconds, meter.peak_memory_mib


def engine(sizes: tuple[int, ...]) -> Iterator[Row]:
    """Seconds of the report of n records, without any model."""
    for n in sizes:
        seeds = range(1, 1 + max(1, n // 250))
        cells = grid(
            [f"m{i}" for i in range(10)], [f"d{i}" for i in range(5)], (1, 4, 8, 16, 32), seeds
        )
        found = records(cells)
        with Meter(torch.device("cpu")) as meter:
            assemble(gather(cells, found), "scaling")
        yield "cells", "report", len(cells), meter.seconds, meter.peak_memory_mib


SUITE = """\
backbone: glyphs
datasets: {datasets}
shots: {shots}
seeds: [1, 2]
retention: [greek]
augment: {{scale: [0.8, 1.0], flip: false}}
methods:
  - zero_shot
  - {{name: linear_probe, config: {{C: 1.0e-3}}}}
  - {{name: coop, config: {{init: a photo of a, steps: {steps}, views: 2}}}}
  - {{name: tip_adapter_f, config: {{steps: {steps}, views: 2, train_views: 2}}}}
  - {{name: lora, config: {{steps: {steps}, batch: {batch}}}}}
  - {{name: comp_lora, config: {{steps: {steps}, batch: {batch}}}}}
"""


def run(plan: Plan, root: Path, workers: int) -> float:
    """Wall seconds of a suite, start-up included; serial where workers is 0."""
    executor = make_executor("ray" if workers else "serial")
    store = Store(root)
    start = time.perf_counter()
    settings = Settings(store.cache, max(1, workers), device="cpu")
    result = run_plan(plan, store, executor, settings, lambda event: None, print)
    assert result.failed == 0
    return time.perf_counter() - start


def planned(folder: Path, **values: Any) -> Plan:
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(**values))
    return make_plan(load_suite(path))


def workers_axis(folder: Path) -> Iterator[Row]:
    """Wall seconds of a suite of 21 cells by Ray workers, with a warm feature cache; the memory is
    that of one worker."""
    plan = planned(folder, datasets="[digits]", shots="[1, 4]", steps=60, batch=16)
    run(plan, folder / "warm", 0)
    for workers in (1, 2):
        root = folder / f"w{workers}"
        (root / "cache").parent.mkdir()
        subprocess.run(["cp", "-r", str(folder / "warm" / "cache"), str(root)], check=True)
        seconds = run(plan, root, workers)
        found = Store(root).load(cell.id for cell in plan.cells).records.values()
        peak = max(record.cost.peak_memory_mib for record in found if record.cost)
        yield "workers", "suite of 21 cells", workers, seconds, peak


def prediction(folder: Path) -> tuple[float, float]:
    """Predicted and measured seconds of a suite none of whose cells has run here, serially.

    Learnt from suites/calibration.yaml: digits and letters at 2 shots. Predicted: georgian and
    cards, Comp-LoRA as well, other steps and scored images.
    """
    known = make_plan(load_suite(SUITES / "calibration.yaml"))
    run(known, folder / "calibration", 0)
    contents = Store(folder / "calibration").load(cell.id for cell in known.cells)
    estimator = Estimator(contents.records.values())
    other = planned(folder, datasets="[georgian, cards]", shots="[1, 8]", steps=60, batch=16)
    predicted = estimator.total(other.cells)
    assert predicted is not None
    return predicted, run(other, folder / "predicted", 0)


def exponents(frame: pd.DataFrame) -> pd.DataFrame:
    """The slope of log seconds over log n in the upper half of each line's sizes."""
    rows = []
    for (axis, what), line in frame.groupby(["axis", "what"], sort=False):
        upper = line.sort_values("n").tail(max(2, math.ceil(len(line) / 2)))
        slope = float(np.polyfit(np.log(upper["n"]), np.log(upper["seconds"]), 1)[0])
        rows.append((axis, what, slope, line["seconds"].iloc[-1], line["peak_mib"].max()))
    return pd.DataFrame(rows, columns=["axis", "what", "exponent", "seconds at most", "peak MiB"])


def plot(frame: pd.DataFrame) -> Figure:
    """Seconds above, peak memory below, a column an axis; one scale a row, one legend."""
    names = list(frame["axis"].drop_duplicates())
    look = looks(list(frame["what"].drop_duplicates()))
    figure = Figure(figsize=(2.4 * len(names), 5.4), layout="constrained")
    axes = figure.subplots(2, len(names), sharex="col", sharey="row", squeeze=False)
    handles: dict[str, Line2D] = {}
    for column, name in zip(axes.T, names, strict=True):
        part = frame[frame["axis"] == name]
        for ax, measure in zip(column, ("seconds", "peak_mib"), strict=True):
            for what, line in part.groupby("what", sort=False):
                style = {"color": look[what].colour, "marker": look[what].marker}
                handles[what] = ax.plot(line["n"], line[measure], label=what, **style)[0]
            ax.set(xscale="log", xticks=sorted(set(part["n"])))
            ax.xaxis.set_major_formatter("{x:,.0f}")
            ax.tick_params(axis="x", labelrotation=45)
        column[1].set_xlabel(name)
    axes[0, 0].set(ylabel="seconds", yscale="log")
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[1, 0].set(ylabel="peak memory, MiB", ylim=(0, 1.1 * frame["peak_mib"].max()))
    for ax in axes.flat:
        ax.minorticks_off()
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
    return figure


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/scaling"))
@click.option("--quick", is_flag=True, help="Small sizes only, to see that it runs.")
def main(out: Path, quick: bool) -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    backbone = load_backbone(BackboneSpec(model="glyphs"), "cpu", "fp32")
    cut = 2 if quick else 5
    rows = [
        *fits(backbone, "classes", (10, 30, 100, 300, 1000)[:cut]),
        *fits(backbone, "shots", (1, 4, 16, 64)[:cut]),
        *scores(backbone, (100, 300, 1000, 3000, 10000)[:cut]),
        *engine((250, 1000, 4000, 10000)[:cut]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows += workers_axis(Path(folder))
        predicted, measured = prediction(Path(folder))
    frame = pd.DataFrame(rows, columns=["axis", "what", "n", "seconds", "peak_mib"])
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / "scaling.csv", index=False)
    (out / "scaling.svg").write_text(svg("scaling", lambda: plot(frame)))
    text = StringIO()
    with redirect_stdout(text):
        for axis, part in frame.groupby("axis", sort=False):
            print(f"\nSeconds against {axis}:\n")
            print(_markdown(part.pivot(index="what", columns="n", values="seconds"), 3))
        print("\nExponents, over the upper half of each range:\n")
        print(_markdown(exponents(frame).set_index(["axis", "what"]), 2))
        error = 100 * (predicted / measured - 1)
        print(
            f"\nCost model: predicted {predicted:.0f} s, measured {measured:.0f} s, {error:+.0f} %"
        )
    (out / "scaling.md").write_text(text.getvalue().lstrip())
    print(text.getvalue(), end="")


def _markdown(table: pd.DataFrame, digits: int) -> str:
    flat = table.reset_index()
    head = "| " + " | ".join(map(str, flat.columns)) + " |"
    rule = "|" + "---|" * len(flat.columns)
    body = [
        "| " + " | ".join(f"{v:.{digits}f}" if isinstance(v, float) else str(v) for v in row) + " |"
        for row in flat.itertuples(index=False)
    ]
    return "\n".join([head, rule, *body])


if __name__ == "__main__":
    main()
