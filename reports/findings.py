"""What the numbers say, in plain sentences computed from them; ties are stated as ties."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from harness.reports.comparability import completeness
from harness.reports.leaderboard import Standing, shots_name
from harness.reports.stats import Interval
from harness.reports.summary import differences, place_at, rank_table
from harness.reports.table import interval, missing, number


def findings(frame: pd.DataFrame, grid: pd.DataFrame, at: Standing) -> list[str]:
    """The report's headline: leaders, zero-shot, forgetting, LoRA against Comp-LoRA."""
    counts = completeness(frame)
    if counts["ok"] == 0:
        return [f"No cell has finished yet: {counts['planned']} planned. {_undone(counts)}".strip()]
    sentences = [_leaders(at, k) for k in at.shots]
    sentences += [_zero_shot(at), _least_forgetting(grid, at), *_comp_lora(grid, at)]
    if counts["ok"] < counts["planned"]:
        done = f"{counts['ok']:,} of {counts['planned']:,} cells have finished"
        sentences.append(f"Incomplete: {done}. {_undone(counts)}")
    return [sentence for sentence in sentences if sentence]


def _undone(counts: dict[str, int]) -> str:
    names = {"failed": "failed", "skipped": "skipped", "missing": "not run"}
    parts = [f"{counts[key]:,} {word}" for key, word in names.items() if counts[key]]
    return f"{', '.join(parts).capitalize()}." if parts else ""


def _leaders(at: Standing, k: int) -> str:
    fair = at.top1.xs(k, level="shots")
    fair = fair[at.info.loc[fair.index, "fair"].to_numpy() & (fair["sets"] == fair["of"])]
    if fair.empty:
        return ""
    here = [row for row, shots in at.ranks.index if shots == k]
    pool = fair.loc[here] if here else fair
    order = pool["mean"].sort_values(ascending=False, kind="stable")
    leader = str(order.index[0])
    cell = fair.loc[leader]
    start = f"At {shots_name(k)} " if k else "Without any shots "
    start += f"{leader} has the highest mean, {interval(cell['mean'], cell['half'])} % top-1"
    if not here:
        return f"{start}; with fewer than two complete draws no order can be stated."
    return f"{start}{_against(at.ranks, list(map(str, order.index)), k)}."


def _against(ranks: pd.DataFrame, order: Sequence[str], k: int) -> str:
    """How the others stand against the first of `order`; undecided is said with its interval."""
    places = {row: place for row in order[1:] if (place := place_at(ranks, row, k))}
    open_to = {row: place.gap for row, place in places.items() if place.against == "undecided"}
    if not open_to:
        return ", ahead of every other row" if places else ""
    if len(open_to) > 5:
        return f"; against {len(open_to)} of the {len(places)} others that is undecided"
    gaps = [f"{row} ({interval(gap.mean, gap.half, signed=True)})" for row, gap in open_to.items()]
    return f"; undecided against it, by their difference in points: {_join(gaps)}"


def _zero_shot(at: Standing) -> str:
    last = at.shots[-1]
    gains = at.gain.xs(last, level="shots")
    gains = gains[at.info.loc[gains.index, "fair"].to_numpy() & ~gains["constant"]]
    gains = gains[gains["sets"] == gains["of"]]
    kinds: dict[str, list[str]] = {"above": [], "below": [], "undecided": []}
    for row, cell in gains.iterrows():
        if not missing(cell["half"]):
            gap = Interval(cell["mean"], cell["half"], int(cell["draws"]))
            kinds[gap.verdict].append(str(row))
    if not any(kinds.values()):
        return ""
    total = sum(map(len, kinds.values()))
    text = f"Against the frozen model at {shots_name(last)}, {len(kinds['above'])} of {total} "
    text += "methods gain beyond their interval"
    text += f"; {_join(kinds['below'])} lose" if kinds["below"] else ""
    text += f"; undecided: {_join(kinds['undecided'])}" if kinds["undecided"] else ""
    return f"{text}."


def _least_forgetting(grid: pd.DataFrame, at: Standing) -> str:
    last = at.shots[-1]
    trained = grid[~grid["constant"] & grid["row"].map(at.info["fair"])]
    change = at.change.xs(last, level="shots")
    change = change[change.index.isin(trained["row"]) & (change["sets"] == change["of"])]
    order = list(map(str, change["mean"].sort_values(ascending=False, kind="stable").index))
    if len(order) < 2:
        return ""
    parts = []
    for row in (order[0], order[-1]):
        cell = change.loc[row]
        parts.append(f"{row} ({interval(cell['mean'], cell['half'], signed=True)} points)")
    places = rank_table(trained[trained["shots"] == last], at.info, "retention_mean_change")
    text = f"Forgetting at {shots_name(last)}, as the mean change of zero-shot accuracy on the "
    text += f"retention sets: least {parts[0]}{_against(places, order, last)}; most {parts[1]}"
    fair = at.info.index[at.info["fair"]]
    rest = [str(row) for row in fair if not at.transferable[row]]
    text += f"; not transferable, so not measured: {_join(rest)}" if rest else ""
    return f"{text}."


def _comp_lora(grid: pd.DataFrame, at: Standing) -> list[str]:
    fair = at.info[at.info["fair"]]
    lora = list(map(str, fair.index[fair["method"] == "lora"]))
    ours = list(map(str, fair.index[fair["method"] == "comp_lora"]))
    sentences = []
    for row in ours if lora else ():
        reference = _alike(grid, row, lora)
        top1 = differences(grid, "top1", reference)
        kept = differences(grid, "retention_mean_change", reference)
        for k in at.shots:
            parts = []
            if (gap := top1.get((row, k))) and gap.n:
                parts.append(f"top-1 {_gap(gap, 'more accurate', 'less accurate')}")
            if (gap := kept.get((row, k))) and gap.n:
                parts.append(f"zero-shot accuracy kept {_gap(gap, 'keeps more', 'keeps less')}")
            if parts:
                sentences.append(f"{row} − {reference} at {shots_name(k)}: {'; '.join(parts)}.")
    return sentences


def _alike(grid: pd.DataFrame, row: str, others: list[str]) -> str:
    """Of `others` the first with `row`'s value of every setting that both have, else the first.

    So that variants at one learning rate are compared with each other.
    """
    chosen = grid.loc[grid["chosen"] != ""].groupby("row")["chosen"].first()
    settings = {name: json.loads(text) for name, text in chosen.items()}
    mine = settings.get(row, {})
    others = [other for other in others if other in settings] or others
    for other in others:
        theirs = settings.get(other, {})
        if all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys()):
            return other
    return others[0]


def _gap(gap: Interval, above: str, below: str) -> str:
    words = {"above": above, "below": below, "undecided": "undecided"}[gap.verdict]
    if missing(gap.half):
        return f"{number(gap.mean, signed=True)} points (one draw, no interval)"
    return f"{interval(gap.mean, gap.half, signed=True)} points ({gap.n} paired draws: {words})"


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
