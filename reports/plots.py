"""What the plots show, as plain data frames: no renderer is known here.

Every frame has the columns row and shots, then values in percent points with `_half` widths of
95 % t intervals over draws. Oracle rows are left out: their numbers saw the test set.
"""

from __future__ import annotations

import pandas as pd

from harness.reports.leaderboard import Standing
from harness.reports.stats import pareto
from harness.reports.summary import per_dataset

AVERAGE = "mean over data sets"


def learning_curves(grid: pd.DataFrame, at: Standing) -> pd.DataFrame:
    """Top-1 against shots: columns panel, row, shots, top1, top1_half, constant.

    One panel per data set after a first panel of averages (where there are several data sets).
    The frozen model's own row is left out: `frozen_accuracy` has it as a level.
    """
    columns = ["panel", "row", "shots", "top1", "top1_half", "constant"]
    fair = grid[grid["row"].map(at.info["fair"]).astype(bool)]
    if fair.empty:
        return pd.DataFrame(columns=columns)
    each = per_dataset(fair, ["top1"]).reset_index().rename(columns={"dataset": "panel"})
    parts = [each[columns]]
    if grid["dataset"].nunique() > 1:
        mean = at.top1.reset_index().rename(columns={"mean": "top1", "half": "top1_half"})
        mean = mean[at.info.loc[mean["row"], "fair"].to_numpy()].assign(panel=AVERAGE)
        parts.insert(0, mean[columns])
    table = pd.concat(parts, ignore_index=True)
    levels = table["panel"].map(frozen_accuracy(grid))
    apart = ~table["constant"] | ((table["top1"] - levels).abs() > 1e-6)
    moving = apart.groupby(table["row"]).transform("any")
    return table[table["top1"].notna() & moving].reset_index(drop=True)


def frozen_accuracy(grid: pd.DataFrame) -> dict[str, float]:
    """The frozen model's top-1 per panel of `learning_curves`."""
    means = grid.groupby("dataset", sort=False)["zero_shot_top1"].mean().dropna()
    levels = {str(name): float(value) for name, value in means.items()}
    return levels if len(levels) < 2 else {AVERAGE: sum(levels.values()) / len(levels), **levels}


def tradeoff(at: Standing) -> pd.DataFrame:
    """Top-1 against the mean change on retention sets, one point per row and shots.

    Columns row, shots, top1, top1_half, change, change_half, and `front`: no other point at the
    same number of shots is better in both.
    """
    both = at.top1.join(at.change[["mean", "half"]].add_suffix("_kept")).reset_index()
    both = both[both["mean"].notna() & both["mean_kept"].notna()]
    both = both[at.info.loc[both["row"], "fair"].to_numpy()]
    names = {"mean": "top1", "half": "top1_half", "mean_kept": "change", "half_kept": "change_half"}
    table: pd.DataFrame = both.rename(columns=names)[["row", "shots", *names.values(), "constant"]]
    table["front"] = False
    for _, same in table.groupby("shots"):
        front = pareto(list(same["change"]), list(same["top1"]))
        table.loc[same.index, "front"] = front
    return table.reset_index(drop=True)


def cost(frame: pd.DataFrame, at: Standing) -> pd.DataFrame:
    """Top-1 at the most shots against median fit seconds and trained parameters.

    Columns row, shots, top1, top1_half, fit_seconds, trainable.
    """
    columns = ["row", "shots", "top1", "top1_half", "fit_seconds", "trainable"]
    if not at.shots:
        return pd.DataFrame(columns=columns)
    last = at.shots[-1]
    done = frame[(frame["status"] == "ok") & frame["shots"].isin([0, last])]
    medians = done.astype({"trainable": "float64"}).groupby("row")[["fit_seconds", "trainable"]]
    top1 = at.top1.reset_index("shots").query("shots == @last").drop(columns="shots")
    top1 = top1.rename(columns={"mean": "top1", "half": "top1_half"})
    table: pd.DataFrame = top1.join(medians.median(), how="inner").reset_index().assign(shots=last)
    table = table[at.info.loc[table["row"], "fair"].to_numpy() & table["top1"].notna()]
    return table[columns].reset_index(drop=True)
