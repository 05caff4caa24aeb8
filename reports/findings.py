"""What the numbers say, in plain sentences computed from them; what is undecided is said so."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.reports.standing import Standing
from harness.reports.stats import Interval
from harness.reports.study import Study
from harness.reports.summary import differences, place_at, rank_table
from harness.reports.table import interval, missing

_NO_ORDER = "with fewer than two distinct draws no order can be stated"
_MOST = 5
"""Rows that a sentence names one by one; of more it gives the number."""


def findings(study: Study) -> list[str]:
    """The report's headline: leaders, zero-shot, forgetting, and a reference that was named."""
    counts, at = study.counts, study.standing
    if counts["ok"] == 0:
        return [f"No cell has finished yet: {counts['planned']} planned. {_undone(counts)}".strip()]
    sentences = [_leaders(at, k) for k in at.shots if not at.drawn.repeats(k)]
    sentences += at.drawn.notes
    sentences += [_zero_shot(at), _least_forgetting(study.grid, at), *_reference(study)]
    sentences += [_configurations(at, group) for group in dict.fromkeys(at.info["group"]) if group]
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
    here = [row for row, shots in at.ranks.index if shots == k]
    pool = fair.loc[here] if here else fair
    if len(pool) < 2:
        return ""
    order = [str(row) for row in pool["mean"].sort_values(ascending=False, kind="stable").index]
    cell = pool.loc[order[0]]
    start = f"At {at.drawn.name(k)} " if k else "Without any shots "
    among = "" if at.info["fair"].all() else f" of the {len(order)} ranked rows"
    start += f"{order[0]} has the highest mean{among}, "
    start += f"{interval(cell['mean'], cell['half'])} % top-1"
    if not here:
        return f"{start}; {_NO_ORDER}."
    return f"{start}{_against(at.ranks, order, k)}."


def _against(ranks: pd.DataFrame, order: Sequence[str], k: int) -> str:
    """How the others stand against the first of `order`; undecided is said with its interval."""
    places = {row: place for row in order[1:] if (place := place_at(ranks, row, k))}
    open_to = {row: place.gap for row, place in places.items() if place.against == "undecided"}
    if not open_to:
        return ", ahead of every other ranked row" if places else ""
    if len(open_to) > _MOST:
        return f"; against {len(open_to)} of the {len(places)} others that is undecided"
    gaps = [f"{row} ({interval(gap.mean, gap.half, signed=True)})" for row, gap in open_to.items()]
    return f"; undecided against it, by their difference in points: {_join(gaps)}"


def _zero_shot(at: Standing) -> str:
    gains = at.gain.xs(at.last, level="shots")
    gains = gains[~at.info.loc[gains.index, "apart"].to_numpy() & ~gains["constant"]]
    gains = gains[(gains["sets"] == gains["of"]) & gains["half"].notna()]
    gaps = {
        str(row): Interval(cell["mean"], cell["half"], int(cell["draws"]))
        for row, cell in gains.iterrows()
    }
    said = _sorted_out(gaps, "gain beyond their interval", "lose")
    return f"Against the frozen model at {at.drawn.name(at.last)}, {said}." if gaps else ""


def _sorted_out(gaps: dict[str, Interval], above: str, below: str) -> str:
    """ "3 of 7 rows gain; a and b lose; undecided: c"."""
    kinds: dict[str, list[str]] = {"above": [], "below": [], "undecided": []}
    for row, gap in gaps.items():
        kinds[gap.verdict].append(row)
    text = f"{len(kinds['above'])} of {len(gaps)} rows {above}"
    text += f"; {_join(kinds['below'])} {below}" if kinds["below"] else ""
    return text + (f"; undecided: {_join(kinds['undecided'])}" if kinds["undecided"] else "")


def _least_forgetting(grid: pd.DataFrame, at: Standing) -> str:
    trained = grid[~grid["constant"] & grid["row"].map(at.info["fair"])]
    change = at.change.xs(at.last, level="shots")
    change = change[change.index.isin(trained["row"]) & (change["sets"] == change["of"])]
    order = list(map(str, change["mean"].sort_values(ascending=False, kind="stable").index))
    if len(order) < 2:
        return ""
    least, most = (
        f"{row} ({interval(cell['mean'], cell['half'], signed=True)} points)"
        for row, cell in ((row, change.loc[row]) for row in (order[0], order[-1]))
    )
    ranks = rank_table(trained[trained["shots"] == at.last], at.info, "retention_mean_change")
    text = f"Forgetting at {at.drawn.name(at.last)}, as the mean change of zero-shot accuracy on "
    text += f"the retention sets: least {least}{_against(ranks, order, at.last)}; most {most}"
    text += "" if len(ranks) else f"; {_NO_ORDER}"
    fair = at.info.index[at.info["fair"]]
    rest = [str(row) for row in fair if not at.transferable[row]]
    text += f"; not transferable, so not measured: {_join(rest)}" if rest else ""
    return f"{text}."


def _reference(study: Study) -> list[str]:
    """Every row against a reference that the suite has named, at the most shots."""
    at, reference = study.standing, study.reference
    if reference is None or at.info.at[reference, "constant"]:
        return []  # gains over the frozen model are said already
    last = study.grid[study.grid["shots"] == at.last]
    top1 = differences(last, "top1", reference)
    kept = differences(last, "retention_mean_change", reference)
    rows = [str(row) for row in at.info.index[~at.info["apart"] & ~at.info["constant"]]]
    gaps = {row: gap for row in rows if (gap := top1.get((row, at.last)))}
    where = f"at {at.drawn.name(at.last)}"
    if len(gaps) > _MOST:
        said = _sorted_out(gaps, "are more accurate", "less")
        return [f"Against {reference} {where}, {said}."]
    sentences = []
    for row, gap in gaps.items():
        parts = [f"top-1 {_gap(gap, 'more accurate', 'less accurate')}"]
        if change := kept.get((row, at.last)):
            parts.append(f"zero-shot accuracy kept {_gap(change, 'keeps more', 'keeps less')}")
        sentences.append(f"{row} − {reference} {where}: {'; '.join(parts)}.")
    return sentences


def _configurations(at: Standing, group: str) -> str:
    rows = at.group(group)
    protocol = str(at.info.at[rows[0], "protocol"])
    return (
        f"{group}: {len(rows)} configurations of one method under protocol {protocol}. They are "
        "not ranked: the best of them by test accuracy would be chosen on the test set. "
        "With the values under search: and protocol: val_search one is chosen on validation images."
    )


def _gap(gap: Interval, above: str, below: str) -> str:
    words = {"above": above, "below": below, "undecided": "undecided"}[gap.verdict]
    text = interval(gap.mean, gap.half, signed=True)
    if missing(gap.half):
        return f"{text} points (one draw, no interval)"
    return f"{text} points (n = {gap.n}: {words})"


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
