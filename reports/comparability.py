"""What in a report is not like for like: shown as warnings, never silently averaged away."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.protocols import PROTOCOLS
from harness.reports.dotted import flat, last_of
from harness.reports.draws import repeated_draws
from harness.reports.study import Study
from harness.reports.trials import edges
from harness.store.record import Record

WARNING = "warning: "
"""How a record's provenance marks what a data set warned of when it was read."""


def warnings_of(study: Study) -> list[str]:
    """Sentences on rows of one table that differ in draws, templates, protocol, model or code."""
    frame, records = study.frame, study.records
    found = [
        *_draws(frame),
        *_repeats(frame),
        *_one_validation_draw(frame),
        *edges(study),
        *_templates(frame),
        *_protocols(frame),
        *_duplicates(frame),
    ]
    done = frame[frame["status"] == "ok"]
    used = [records[cell] for cell in done["cell_id"]]
    found += _identity(frame, used)
    rows = list(map(str, done["row"]))
    found += [
        *_sources(rows, used),
        *_views(rows, used),
        *_whole_val(rows, used),
        *_unfinished(rows, used),
        *_leaks(used),
    ]
    return [*found, *_code(list(records.values()))]


def _draws(frame: pd.DataFrame) -> list[str]:
    few = frame[(frame["status"] == "ok") & (frame["shots"] > 0)]
    found = [
        *_different(few[few["draw_id"] != ""], "draw_id", "draws"),
        *_different(few[few["val_draw_id"] != ""], "val_draw_id", "validation images"),
    ]
    if few["sampler"].nunique() > 1:
        found.append(f"More than one sampler: {_list(few['sampler'])}.")
    return found


def _different(few: pd.DataFrame, column: str, what: str) -> list[str]:
    """Where rows of one data set, shots and seed differ in `column`; the first place by name."""
    several = few.groupby(["dataset", "shots", "seed"])[column].nunique()
    several = several[several > 1]
    if several.empty:
        return []
    dataset, shots, seed = several.index[0]
    rows = few[few["dataset"].eq(dataset) & few["shots"].eq(shots) & few["seed"].eq(seed)]
    groups = [
        f"{', '.join(same['row'])} ({str(identity)[:12]})"
        for identity, same in rows.groupby(column, sort=False)
    ]
    return [
        f"Different {what} under the same seed in {len(several)} place(s): for {dataset}, "
        f"{shots} shots, seed {seed} there are {' / '.join(groups)}. Paired differences between "
        "these rows are not on the same images."
    ]


def _repeats(frame: pd.DataFrame) -> list[str]:
    places: dict[str, dict[str, list[str]]] = {}
    for (dataset, shots), rows in repeated_draws(frame).groupby(["dataset", "shots"], sort=False):
        seeds = ", ".join(map(str, sorted({*rows["first"], *rows["seed"]})))
        places.setdefault(seeds, {}).setdefault(str(dataset), []).append(str(shots))
    return [
        f"Seeds {seeds} drew the same images: {_places(where)}. They count as one draw, with the "
        "mean of its seeds; where that is all of them, the data set adds its mean to an average "
        "and no variance."
        for seeds, where in places.items()
    ]


def _places(where: dict[str, list[str]]) -> str:
    return "; ".join(f"{dataset} at {', '.join(shots)} shots" for dataset, shots in where.items())


def _one_validation_draw(frame: pd.DataFrame) -> list[str]:
    """Where draws differ and all chose on the same validation images."""
    few = frame[(frame["status"] == "ok") & (frame["val_draw_id"] != "") & ~frame["beyond"]]
    where: dict[str, list[str]] = {}
    for dataset, cells in few.groupby("dataset", sort=False):
        each = cells.groupby("shots")[["draw_id", "val_draw_id"]].nunique()
        same = each.index[(each["draw_id"] > 1) & (each["val_draw_id"] == 1)]
        where |= {str(dataset): [str(k) for k in same]} if len(same) else {}
    if not where:
        return []
    return [
        f"All draws chose on the same validation images: {_places(where)} (the split has no more). "
        "Their choices are not independent, and intervals may be too narrow."
    ]


def _templates(frame: pd.DataFrame) -> list[str]:
    several = frame.groupby("dataset")["templates"].nunique()
    names = [str(name) for name in several[several > 1].index]
    if not names:
        return []
    return [
        f"Rows of one table used different prompt templates on {', '.join(names)}: their gains "
        "are each over zero-shot under their own template."
    ]


def _protocols(frame: pd.DataFrame) -> list[str]:
    may_rank = frame["protocol"].map(lambda name: PROTOCOLS[name].ranked).astype(bool)
    ranked = frame[may_rank & (frame["shots"] > 0)]
    if ranked["protocol"].nunique() <= 1:
        return []
    parts = [
        f"{protocol}: {_list(rows['row'])}"
        for protocol, rows in ranked.groupby("protocol", sort=False)
    ]
    return [f"Rows stand under different protocols ({'; '.join(parts)})."]


def _duplicates(frame: pd.DataFrame) -> list[str]:
    twice = frame.duplicated(["row", "dataset", "shots", "seed"], keep=False)
    if not twice.any():
        return []
    return [f"One label stands for several configurations: {_list(frame.loc[twice, 'row'])}."]


def _identity(frame: pd.DataFrame, used: list[Record]) -> list[str]:
    found = []
    per_name: dict[str, set[str]] = {}
    for record in used:
        backbone = record.identity.backbone
        per_name.setdefault(backbone.name, set()).add(backbone.canonical)
    for name, several in sorted(per_name.items()):
        if len(several) > 1:
            found.append(f"Backbone {name} stands for {len(several)} weights or precisions.")
    spread = frame.groupby(["dataset", "backbone", "templates"])["zero_shot_top1"].agg(
        ["min", "max"]
    )
    moved = spread[(spread["max"] - spread["min"]) > 1e-6]
    if len(moved):
        names = sorted({str(index[0]) for index in moved.index})
        found.append(
            f"The frozen model's own accuracy differs between cells on {', '.join(names)}."
        )
    return found


def _sources(rows: list[str], used: list[Record]) -> list[str]:
    per_row: dict[str, set[str]] = {}
    for row, record in zip(rows, used, strict=True):
        per_row.setdefault(row, set()).add(record.identity.method.source)
    mixed = sorted(row for row, sources in per_row.items() if len(sources) > 1)
    if not mixed:
        return []
    return [f"Cells of one method come from different versions of its source: {', '.join(mixed)}."]


def _views(rows: list[str], used: list[Record]) -> list[str]:
    """Whether rows trained on fresh augmentations or on cached views (see docs/methods.md)."""
    kinds: dict[str, dict[str, None]] = {}
    for row, record in zip(rows, used, strict=True):
        config = record.chosen or record.identity.method.config
        views = config.get("train_views", config.get("views"))
        if views is not None:
            kind = f"{views} cached views" if views else "augmented afresh at every step"
            kinds.setdefault(kind, {})[row] = None
    if len(kinds) < 2:
        return []
    parts = [f"{kind}: {', '.join(names)}" for kind, names in sorted(kinds.items())]
    return [f"Rows differ in how support images were augmented ({'; '.join(parts)})."]


def _whole_val(rows: list[str], used: list[Record]) -> list[str]:
    """How many labels rows had that chose on the whole validation split."""
    draws = [
        (record.draw.val_images, record.draw.images, record.identity.data.name, row)
        for row, record in zip(rows, used, strict=True)
        if record.identity.access.beyond_shots and record.draw and record.search
    ]
    if not draws:
        return []
    val, images, dataset, _ = max(draws, key=lambda draw: draw[0] / max(draw[1], 1))
    names = ", ".join(dict.fromkeys(row for *_, row in draws))
    return [
        f"Not few-shot in its labels: {names} chose hyper-parameters on whole validation splits, "
        f"on {dataset} {val:,} labels beside {images:,} support images. Compare them with nothing "
        "that had fewer."
    ]


def _leaks(used: Sequence[Record]) -> list[str]:
    """What data sets warned of when they were read: images of equal content in two splits."""
    said = {
        f"{name}: {sentence.removeprefix(WARNING)}"
        for record in used
        for name, sentences in dict(record.provenance.get("data") or {}).items()
        for sentence in sentences
        if sentence.startswith(WARNING)
    }
    return sorted(said)


def _unfinished(rows: list[str], used: list[Record]) -> list[str]:
    """Which rows have fits that ended before their minimum, where a method tells (`converged`)."""
    short = [
        row
        for row, record in zip(rows, used, strict=True)
        if not record.details.get("converged", 1.0)
    ]
    if not short:
        return []
    counts = ", ".join(f"{row} ({short.count(row)})" for row in dict.fromkeys(short))
    return [
        f"Fits that ran out of iterations before their minimum: {counts}. Raise `iterations`; "
        "`gradient` in the records says how far off they are."
    ]


def _list(names: pd.Series) -> str:
    return ", ".join(dict.fromkeys(str(name) for name in names))


def _code(records: Sequence[Record]) -> list[str]:
    """Mixed or uncommitted code, read from keys that end in commit or dirty."""
    commits: set[str] = set()
    dirty = 0
    for record in records:
        keys = dict(flat(record.provenance))
        commits |= {value for key, value in keys.items() if last_of(key) == "commit" and value}
        dirty += any(last_of(key) == "dirty" and value == "true" for key, value in keys.items())
    found = []
    if len(commits) > 1:
        found.append(f"The cells were run at {len(commits)} different commits.")
    if dirty:
        found.append(f"{dirty:,} cells were run with uncommitted changes in the working tree.")
    return found
