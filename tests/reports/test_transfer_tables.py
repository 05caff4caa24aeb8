"""Base-to-new, transfer, and rows with more labels than their shots: figures by hand."""

from __future__ import annotations

import dataclasses
import io

import pandas as pd
import pytest
from synthetic import FakeCell, grid, identity_of, record, records

from harness.reports import Content, assemble, gather, leaderboard_text, table_files
from harness.reports.parts.base_to_new import harmonic_mean
from harness.store.record import Draw, Record, Retention

T2 = 4.302652729911275
"""t(.975, 2)."""


def csv(content: Content, name: str) -> pd.DataFrame:
    text = table_files(content)[f"{name}.csv"]
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def with_kept(cell: FakeCell, top1: float, kept: dict[str, Retention | None]) -> Record:
    """A record with these accuracies on its own data set and on held-out sets."""
    made, new = record(cell, top1=top1), f"rest of {cell.of}"
    identity = identity_of(cell, [(name, "new" if name == new else None) for name in kept])
    return dataclasses.replace(made, identity=identity, retention=kept)


def kept(top1: float, rule: str = "rebind") -> Retention:
    return Retention(
        {"images": 100, "top1": top1, "zero_shot_top1": 50.0, "gain": top1 - 50.0}, rule
    )  # type: ignore[arg-type]


def halves(method: str = "coop") -> list[FakeCell]:
    return [
        dataclasses.replace(cell, dataset=f"some of {cell.dataset}", half="base", of=cell.dataset)
        for cell in grid([method], ["a", "b"], [16], [1, 2, 3])
    ]


def test_h_is_of_the_means_in_its_line_and_its_interval_follows_from_theirs() -> None:
    cells = halves()
    # a: base 80 in every draw, new 40, 50, 60.   b: base 60, new 60 in every draw.
    new = {"a": [40.0, 50.0, 60.0], "b": [60.0] * 3}
    base = {"a": 80.0, "b": 60.0}
    results = {
        c.id: with_kept(c, base[c.of], {f"rest of {c.of}": kept(new[c.of][c.seed - 1])})
        for c in cells
    }
    table = csv(gather(cells, results), "base_to_new").set_index("data")
    a, mean = table.loc["a"], table.loc["mean over 2 data sets"]
    assert (a["base"], a["new"]) == (80.0, 50.0)
    assert a["new_half"] == pytest.approx(T2 * 10 / 3**0.5, abs=1e-6)
    assert a["H"] == pytest.approx(2 * 80 * 50 / 130, abs=1e-6)
    # to first order: ∂H/∂new = 2·80²/(80 + 50)²
    assert a["H_half"] == pytest.approx(2 * (80 / 130) ** 2 * a["new_half"], abs=1e-6)
    assert table.loc["b", "H"] == 60.0
    # averages: base 70, new 55; the H of these, not the mean of 61.5 and 60
    assert (mean["base"], mean["new"]) == (70.0, 55.0)
    assert mean["H"] == pytest.approx(2 * 70 * 55 / 125)
    assert mean["H"] != pytest.approx((a["H"] + 60.0) / 2, abs=0.1)


def test_the_average_of_published_base_and_new_gives_the_published_h() -> None:
    """CLIP's line in CoCoOp's table of averages (Zhou et al., CVPR 2022, table 1a)."""
    assert round(float(harmonic_mean(69.34, 74.22)), 2) == 71.70
    assert float(harmonic_mean(0, 0)) == 0.0


def test_without_a_rule_for_other_names_new_and_h_are_not_applicable() -> None:
    cells = halves("linear_probe")
    results = {c.id: with_kept(c, 80.0, {f"rest of {c.of}": None}) for c in cells}
    report = assemble(gather(cells, results), "t")
    line = report.tables["base_to_new"][0].lines[0]
    assert [entry.text for entry in line.entries] == ["80.0 ± 0.0", "n/a", "n/a"]
    assert "Base to new classes" in report.files["index.html"].decode()
    assert {"base_to_new.csv", "base_to_new.md"} <= set(report.files)
    assert "Base to new, mean over 2 data sets" in leaderboard_text(report)


def test_tables_without_a_meaning_are_not_there() -> None:
    cells = grid(["lora"], ["a", "b"], [4])
    report = assemble(gather(cells, records(cells)), "t")
    assert not {"base_to_new.csv", "transfer.csv"} & set(report.files)
    assert "Base to new" not in report.files["index.html"].decode()


def one_source(
    method: str, tables: dict[str, list[Retention | None]]
) -> tuple[list[FakeCell], dict[str, Record]]:
    cells = grid([method], ["imagenet"], [16], [1, 2, 3])
    results = {
        c.id: with_kept(c, 70.0 + c.seed, {n: sets[c.seed - 1] for n, sets in tables.items()})
        for c in cells
    }
    return cells, results


def test_transfer_shows_absolute_accuracies_beside_the_source() -> None:
    few = {
        "v2": [kept(60.0), kept(62.0), kept(64.0)],
        "r": [kept(80.0), kept(80.0), kept(80.0)],
    }
    cells, results = one_source("coop", few)
    probe = {
        "v2": [kept(50.0, "columns")] * 3,
        "r": [None] * 3,
    }
    more, others = one_source("linear_probe", probe)
    report = assemble(gather([*cells, *more], {**results, **others}), "t")
    table = csv(report, "transfer").set_index(["label", "tested_on"])
    coop = table.loc["coop"]
    assert coop.loc["imagenet", ["top1", "draws"]].tolist() == [72.0, 3]
    assert coop.loc["v2", "top1"] == 62.0
    assert coop.loc["v2", "half"] == pytest.approx(T2 * 2 / 3**0.5, abs=1e-6)
    assert coop.loc["mean", "top1"] == pytest.approx(71.0)
    # per draw 70, 71, 72
    assert coop.loc["mean", "half"] == pytest.approx(T2 * 1 / 3**0.5, abs=1e-6)
    rules = table.loc["linear_probe", "rule"].to_dict()
    assert rules == {"imagenet": "source", "r": "n/a", "v2": "columns", "mean": "n/a"}
    (shown,) = report.tables["transfer"]
    lines = {line.name: [(e.mark, e.text) for e in line.entries] for line in shown.lines}
    assert lines["linear_probe"][1:] == [("", "n/a"), ("†", "50.0 ± 0.0"), ("", "n/a")]
    assert any("columns of its logits" in note for note in shown.notes)
    assert "Transfer to other data sets" in report.files["index.html"].decode()


def test_a_mean_over_fewer_sets_does_not_stand_beside_means_over_all() -> None:
    cells, results = one_source("lora", {"v2": [kept(40.0)] * 3, "r": [None] * 3})
    report = gather(cells, results)
    row = csv(report, "forgetting").set_index("retention_set")
    assert (row.loc["v2", "change"], row.loc["v2", "transfer"]) == (-10.0, "ok")
    assert pd.isna(row.loc["mean", "change"])
    assert (row.loc["mean", "transfer"], row.loc["r", "transfer"]) == ("n/a", "n/a")


def full_val(cell: FakeCell, chose: bool = True) -> tuple[FakeCell, Record]:
    """The cell under a protocol that lets it choose on a whole validation split of 5,400 images."""
    moved = dataclasses.replace(cell, protocol="val_full")
    made = record(moved, top1=90.0 + cell.seed)
    trials = [{"config": {"lr": rate}, "top1": 50.0, "on": "val"} for rate in (0.1, 0.2)]
    assert made.cost is not None
    return moved, dataclasses.replace(
        made,
        draw=Draw(f"d{cell.seed}", "coop", 160, "v", 5400),
        search=trials if chose else [],
        cost=dataclasses.replace(made.cost, evaluations=2 if chose else 0),
    )


def test_a_method_that_chooses_nothing_has_not_chosen_on_more_labels() -> None:
    frozen = grid(["zero_shot"], ["eurosat"])
    chose = dict(map(full_val, grid(["lora"], ["eurosat"], [16])))
    plain = dict(full_val(cell, chose=False) for cell in grid(["coop"], ["eurosat"], [16]))
    everything = {c.id: r for c, r in {**chose, **plain}.items()}
    report = gather([*frozen, *chose, *plain], records(frozen) | everything)
    notes = {line.name: line.note for line in report.leaderboard.lines}
    assert notes == {"lora [val_full]": "whole val split", "coop": "", "zero_shot": ""}
    (warning,) = [w for w in report.warnings if "Not few-shot in its labels" in w]
    assert "lora [val_full] chose" in warning and "coop" not in warning


def test_rows_with_more_labels_are_marked_and_not_ranked_beside_the_others() -> None:
    cells = grid(["zero_shot", "lora", "coop"], ["eurosat"], [16])
    full = dict(map(full_val, grid(["lora"], ["eurosat"], [16])))
    report = gather([*cells, *full], records(cells) | {c.id: r for c, r in full.items()})
    last = report.leaderboard.lines[-1]
    assert last.name == "lora [val_full]" and last.apart and "whole val split" in last.note
    table = csv(report, "leaderboard").set_index(["label", "protocol"])
    assert pd.isna(table.loc[("lora", "val_full"), "rank_low_16"])
    assert table["rank_high_16"].max() == 3, "the others are ranked among themselves"
    assert not any("[val_full] has the highest" in sentence for sentence in report.findings)
    (warning,) = [w for w in report.warnings if "Not few-shot in its labels" in w]
    assert "5,400 labels beside 160 support images" in warning


def test_alone_they_are_ranked_with_zero_shot_and_still_marked() -> None:
    frozen = grid(["zero_shot"], ["eurosat"])
    full = dict(map(full_val, grid(["lora", "coop"], ["eurosat"], [16])))
    report = gather([*frozen, *full], records(frozen) | {c.id: r for c, r in full.items()})
    names = [line.name for line in report.leaderboard.lines]
    assert set(names) == {"lora [val_full]", "coop [val_full]", "zero_shot"}
    assert not any(line.apart for line in report.leaderboard.lines)
    table = csv(report, "leaderboard").set_index("label")
    assert table.loc["zero_shot", "rank_low_16"] == 3
    assert any("Not few-shot in its labels" in w for w in report.warnings)


def test_rows_that_augment_differently_are_told() -> None:
    cells = grid(["lora", "coop", "tip_adapter_f", "linear_probe"], ["a"], [4])
    views = {
        "lora": {"views": 0},
        "coop": {"views": 10},
        "tip_adapter_f": {"views": 10, "train_views": 0},
        "linear_probe": {"C": 1.0},
    }
    results = {c.id: dataclasses.replace(record(c), chosen=views[c.label]) for c in cells}
    (said,) = [w for w in gather(cells, results).warnings if "augmented" in w]
    assert "10 cached views: coop" in said
    assert "augmented afresh at every step: lora, tip_adapter_f" in said
    assert "linear_probe" not in said
    alike = [c for c in cells if c.label != "coop"]
    assert not [w for w in gather(alike, results).warnings if "augmented" in w]


def test_fits_that_ended_before_their_minimum_are_said() -> None:
    cells = grid(["zero_shot", "linear_probe", "coop"], ["eurosat"], [1])
    everything = records(cells)
    probes = [cell.id for cell in cells if cell.label == "linear_probe"]
    for number, cell in enumerate(probes):
        details = {"converged": float(number > 0), "gradient": 0.2}
        everything[cell] = dataclasses.replace(everything[cell], details=details)
    found = [w for w in gather(cells, everything).warnings if "ran out of iterations" in w]
    assert len(found) == 1 and "linear_probe (1)." in found[0]


def test_leaks_that_a_data_set_warned_of_stand_on_the_page() -> None:
    cells = grid(["zero_shot", "coop"], ["eurosat"], [1])
    everything = records(cells)
    said = {"eurosat": ["10 classes", "warning: 3 test images are in train too"]}
    for cell, made in everything.items():
        provenance = {**made.provenance, "data": said}
        everything[cell] = dataclasses.replace(made, provenance=provenance)
    found = [w for w in gather(cells, everything).warnings if "in train too" in w]
    assert found == ["eurosat: 3 test images are in train too"]
