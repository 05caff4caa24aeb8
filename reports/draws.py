"""Which cells share a draw, and cells without one repeated at every draw.

A draw is its content. Where the shots asked for take all images there are, every seed gives the
same ones: they are one draw, and an interval over draws must not count them as several.
"""

from __future__ import annotations

import pandas as pd

_AXES = ["dataset", "shots", "seed"]


def repeated_draws(frame: pd.DataFrame) -> pd.DataFrame:
    """The seeds whose draw a lower seed has made already: columns dataset, shots, seed, first.

    Only a draw that all finished rows agree on counts.
    """
    few = frame[(frame["status"] == "ok") & (frame["shots"] > 0) & (frame["draw_id"] != "")]
    per_seed = few.groupby(_AXES)["draw_id"].agg(["first", "nunique"]).reset_index()
    agreed = per_seed[per_seed["nunique"] == 1].rename(columns={"first": "draw"})
    first = agreed.groupby(["dataset", "shots", "draw"])["seed"].transform("min")
    return agreed.assign(first=first).loc[first < agreed["seed"], [*_AXES, "first"]]


def broadcast(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with cells that use no support set (shots 0) repeated for every draw of the others.

    Such a method's number holds at every number of shots; repeating it lets it be paired with
    the others draw by draw. Adds the columns `constant`, True for repeated rows, and `draw`, the
    lowest seed that drew the same images. Where a data set has no few-shot cell at all its rows
    keep shots 0.
    """
    few = frame[frame["shots"] > 0].assign(constant=False)
    constant = frame[frame["shots"] == 0].assign(constant=True)
    seeds = few[_AXES].drop_duplicates()
    if seeds.empty:
        return constant.assign(draw=constant["seed"])
    spread = constant.drop(columns=["shots", "seed"]).merge(seeds, on="dataset", how="inner")
    grid = pd.concat([few, spread[few.columns]], ignore_index=True) if len(spread) else few
    first = grid[_AXES].merge(repeated_draws(frame), on=_AXES, how="left")["first"]
    return grid.assign(
        draw=first.fillna(grid["seed"].reset_index(drop=True)).astype(int).to_numpy()
    )
