"""Tables on fake records: means, intervals, gaps in the grid, oracle rows, comparability."""

import dataclasses
import io
import math

import pandas as pd
import pytest
from scipy.stats import t as student
from synthetic import FakeCell, failed, grid, record, records

from harness.reports import Content, gather, leaderboard_text, table_files

T2 = 4.302652729911275
"""t(.975, 2)."""


def csv(content: Content, name: str) -> pd.DataFrame:
    text = table_files(content)[f"{name}.csv"]
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def test_cells_csv_begins_with_the_promised_columns() -> None:
    cells = grid(methods=["zero_shot", "lora"], datasets=["digits"])
    table = csv(gather(cells, records(cells)), "cells")
    assert list(table.columns[:6]) == ["method", "label", "dataset", "shots", "seed", "top1"]
    assert len(table) == len(cells)
    assert {"retention_names", "retention_names_change", "retention_mean_change"} <= {*table}
    assert "retention_digits" not in table
    assert "detail_subspace_leakage_left" in table


def test_data_sets_are_the_strata_of_an_average() -> None:
    cells = grid(methods=["lora"], datasets=["a", "b"], shots=[4])
    values = {("a", 1): 50.0, ("a", 2): 54.0, ("a", 3): 58.0}
    values |= {("b", 1): 70.0, ("b", 2): 66.0, ("b", 3): 68.0}
    results = {c.id: record(c, top1=values[c.dataset, c.seed]) for c in cells}
    report = gather(cells, results)
    row = csv(report, "leaderboard").iloc[0]
    # s² = 16 and 4: SE² = (16/3 + 4/3)/2², df = (16/3 + 4/3)²/((16/3)²/2 + (4/3)²/2) = 50/17
    assert row["top1_4"] == pytest.approx(61.0)
    assert row["df_4"] == pytest.approx(50 / 17, abs=1e-6)
    half = student.ppf(0.975, 50 / 17) * math.sqrt(5 / 3)
    assert row["top1_4_half"] == pytest.approx(half, abs=1e-6)
    assert (row["draws_4"], row["cells_4"], row["planned_4"]) == (3, 6, 6)
    each = csv(report, "per_dataset").set_index("dataset")
    assert each.loc["a", "top1"] == pytest.approx(54.0)
    assert each.loc["a", "top1_half"] == pytest.approx(T2 * 4 / math.sqrt(3), abs=1e-6)


def test_incomplete_means_are_marked() -> None:
    cells = grid(methods=["coop", "lora"], datasets=["a", "b"], shots=[4])
    results = {c.id: record(c, top1=50.0 + 10 * c.seed) for c in cells}
    gone = next(c for c in cells if (c.label, c.dataset, c.seed) == ("coop", "b", 3))
    del results[gone.id]
    report = gather(cells, results)
    row = csv(report, "leaderboard").set_index("label").loc["coop"]
    assert row["top1_4"] == pytest.approx((70 + 65) / 2)
    assert (row["draws_4"], row["cells_4"], row["planned_4"]) == (2, 5, 6)
    line = next(line for line in report.leaderboard.lines if line.name == "coop")
    assert line.entries[0].text.endswith("*")
    assert line.entries[0].sub == "n = 2 to 3, 5/6"
    assert report.counts == {"planned": 12, "ok": 11, "failed": 0, "skipped": 0, "missing": 1}


def test_rows_that_lack_a_data_set_stand_apart() -> None:
    cells = grid(methods=["coop", "lora", "comp_lora"], datasets=["a", "b"], shots=[4])
    results = {c.id: record(c, top1=80.0 if c.dataset == "a" else 40.0) for c in cells}
    for cell in cells:
        if (cell.label, cell.dataset) == ("coop", "b"):  # its mean would be 80, theirs is 60
            del results[cell.id]
    report = gather(cells, results)
    assert [line.name for line in report.leaderboard.lines] == ["lora", "comp_lora", "coop"]
    last = report.leaderboard.lines[-1]
    assert last.apart and last.entries[0].sub == "1 of 2 data sets" and not last.entries[0].mark
    row = csv(report, "leaderboard").set_index("label").loc["coop"]
    assert pd.isna(row["rank_low_4"]) and pd.isna(row["top1_4_half"]) and row["sets_4"] == 1
    assert not any("coop" in sentence for sentence in report.findings[:-1])


def test_undecided_is_no_praise_and_only_a_decision_is_bold() -> None:
    cells = grid(methods=["coop", "lora", "comp_lora"], datasets=["a"], shots=[4])
    top1 = {"lora": [80.0, 81, 82], "comp_lora": [77.1, 78.0, 79.1], "coop": [40.0, 55, 70]}
    results = {c.id: record(c, top1=top1[c.label][c.seed - 1]) for c in cells}
    report = gather(cells, results)
    shown = {line.name: line.entries[0] for line in report.leaderboard.lines}
    assert not any(entry.strong for entry in shown.values())
    assert {name: entry.mark for name, entry in shown.items()} == {
        "lora": "",
        "comp_lora": "",
        "coop": "○",
    }
    assert (
        "undecided against it, by their difference in points: coop (−26.0 ±" in report.findings[0]
    )
    top1["coop"] = [45.0, 46, 47]
    report = gather(cells, {c.id: record(c, top1=top1[c.label][c.seed - 1]) for c in cells})
    assert [line.entries[0].strong for line in report.leaderboard.lines] == [True, False, False]
    assert "ahead of every other ranked row" in report.findings[0]


def test_one_draw_has_no_interval_and_no_rank() -> None:
    cells = grid(seeds=[1], shots=[1])
    report = gather(cells, records(cells))
    table = csv(report, "leaderboard")
    assert table["top1_1_half"].isna().all()
    assert table["rank_low_1"].isna().all()
    assert not any(entry.strong for line in report.leaderboard.lines for entry in line.entries)
    assert "no order can be stated" in report.findings[0]


def test_a_method_without_support_stands_in_every_column() -> None:
    cells = grid(methods=["zero_shot", "lora"], datasets=["a", "b"], shots=[1, 16])
    results = {c.id: record(c, top1=40.0 if c.label == "zero_shot" else None) for c in cells}
    row = csv(gather(cells, results), "leaderboard").set_index("label").loc["zero_shot"]
    assert row["top1_1"] == row["top1_16"] == 40.0
    assert (row["draws_1"], row["cells_1"], row["planned_1"]) == (0, 2, 2)
    assert pd.isna(row["top1_1_half"])


def test_oracle_rows_are_never_ranked() -> None:
    cells = grid(methods=["lora", "coop"], datasets=["a"], shots=[4])
    best = [dataclasses.replace(c, label="cheat", protocol="oracle") for c in cells[:3]]
    results = records(cells) | {c.id: record(c, top1=99.0 + c.seed / 10) for c in best}
    report = gather([*cells, *best], results)
    table = csv(report, "leaderboard").set_index("label")
    assert pd.isna(table.loc["cheat", "rank_low_4"])
    assert pd.isna(table.loc["cheat", "against_highest_4"])
    assert table["rank_low_4"].min() == 1
    assert list(table.index)[-1] == "cheat"
    assert report.leaderboard.lines[-1].apart
    assert "oracle, not ranked" in report.leaderboard.lines[-1].note
    assert not any("cheat has the highest" in sentence for sentence in report.findings)


def test_forgetting_averages_and_marks_what_is_not_transferable() -> None:
    cells = grid(methods=["tip_adapter", "lora"], datasets=["a", "digits"], shots=[4])
    change = {1: -2.0, 2: -3.0, 3: -4.0}
    results = {c.id: record(c, change=change[c.seed]) for c in cells}
    report = gather(cells, results)
    table = csv(report, "forgetting").set_index(["label", "retention_set"])
    lora = table.loc[("lora", "names")]
    assert lora["change"] == pytest.approx(-3.0)
    # two data sets of s = 1: SE² = (1/3 + 1/3)/2², df = 2 + 2
    assert lora["half"] == pytest.approx(student.ppf(0.975, 4) / math.sqrt(6), abs=1e-6)
    # the set "digits" is not a retention set of the data set "digits": 3 cells, not 6
    assert table.loc[("lora", "digits"), "planned"] == 3
    assert table.loc[("lora", "digits"), "cells"] == 3
    assert table.loc[("tip_adapter", "names"), "transfer"] == "n/a"
    assert "n/a" in table_files(report)["forgetting.md"]


def test_paired_difference_of_comp_lora_by_hand() -> None:
    cells = grid(methods=["lora", "comp_lora"], datasets=["a"], shots=[4])
    gap = {1: 1.0, 2: 2.0, 3: 3.0}
    results = {}
    for c in cells:
        base = 30.0 + 20 * c.seed
        results[c.id] = record(c, top1=base + gap[c.seed] * (c.label == "comp_lora"))
    report = gather(cells, results)
    row = csv(report, "paired").set_index("measure").loc["top1"]
    assert (row["row"], row["reference"], row["draws"]) == ("comp_lora", "lora", 3)
    assert row["difference"] == pytest.approx(2.0)
    assert row["half"] == pytest.approx(T2 / math.sqrt(3), abs=1e-6)
    assert row["verdict"] == "undecided"
    assert any("comp_lora − lora at 4 shots: top-1 +2.0 ± 2.5" in s for s in report.findings)


def test_a_suite_names_the_row_that_others_are_set_against() -> None:
    cells = grid(["zero_shot", "coop", "lora", "comp_lora"], ["a"], [4])
    default = gather(cells, records(cells))
    assert default.study.reference == "zero_shot"
    assert not any("−" in sentence.partition(":")[0] for sentence in default.findings)
    report = gather(cells, records(cells), reference="lora")
    assert report.tables["paired"][0].caption.startswith("Paired differences to lora")
    said = [s.partition(" at ")[0] for s in report.findings if " − lora" in s]
    assert said == ["coop − lora", "comp_lora − lora"]


def test_configurations_of_one_method_are_grouped_and_never_ranked() -> None:
    cells = grid(["zero_shot", "coop", "lora"], ["a"], [4])
    rates = (0.1, 0.01, 0.001)
    cells = [c for c in cells if c.method != "lora"] + [
        dataclasses.replace(c, label=f"lora(lr={rate})")
        for rate in rates
        for c in cells
        if c.method == "lora"
    ]
    results = {c.id: record(c, top1=90.0 if "0.01" in c.label else None) for c in cells}
    report = gather(cells, results)
    names = [line.name for line in report.leaderboard.lines]
    assert names == ["coop", "zero_shot", "lora", *(f"lora(lr={rate})" for rate in rates)]
    assert "3 configurations, not ranked" in report.leaderboard.lines[2].note
    table = csv(report, "leaderboard").set_index("label")
    assert table.loc[["coop", "zero_shot"], "rank_high_4"].max() == 2
    assert table.loc["lora(lr=0.01)", ["rank_low_4", "against_highest_4"]].isna().all()
    assert table.loc["lora(lr=0.01)", "top1_4"] == 90.0
    assert "coop has the highest mean" in report.findings[0]
    said = next(s for s in report.findings if s.startswith("lora: 3 configurations"))
    assert "val_search" in said and "lr=" not in said, "and none of them is named"


def test_a_searched_row_and_its_preset_are_no_configurations_to_choose_from() -> None:
    """One was chosen on validation images, the other by nobody: both are ranked."""
    cells = [
        dataclasses.replace(c, protocol="val_search", label=label)
        for c in grid(["zero_shot", "lora"], ["a"], [4])
        for label in (("lora", "lora (preset)") if c.method == "lora" else (c.label,))
    ]
    results = records(cells)
    for cell in cells:
        if cell.label == "lora":
            made = results[cell.id]
            assert made.cost is not None
            cost = dataclasses.replace(made.cost, evaluations=2)
            results[cell.id] = dataclasses.replace(made, cost=cost)
    report = gather(cells, results)
    assert not any("configurations" in line.note for line in report.leaderboard.lines)
    table = csv(report, "leaderboard").set_index("label")
    assert table["rank_low_4"].notna().all()


def test_different_draws_templates_and_models_are_warned_about() -> None:
    cells = grid(methods=["lora", "coop"], datasets=["a"], shots=[4])
    results = records(cells)
    first = results[cells[0].id]
    assert first.draw is not None
    moved = dataclasses.replace(first.draw, id="other")
    model = dataclasses.replace(first.identity.backbone, weights="zz")
    identity = dataclasses.replace(first.identity, backbone=model)
    results[cells[0].id] = dataclasses.replace(first, draw=moved, identity=identity)
    other = dataclasses.replace(cells[-1], templates=("{} texture.",))
    results[other.id] = record(other)
    text = " ".join(gather([*cells[:-1], other], results).warnings)
    assert "Different draws under the same seed" in text
    assert "different prompt templates on a" in text
    assert "Backbone glyphs stands for 2 weights" in text
    assert not gather(cells, records(cells)).warnings


def test_a_draw_under_two_seeds_counts_once() -> None:
    cells = grid(methods=["zero_shot", "lora", "coop"], datasets=["a"], shots=[4, 16])
    results = records(cells)
    for cell in cells:  # 16 shots take all images there are: every seed draws the same
        draw = results[cell.id].draw
        if cell.shots == 16 and draw is not None:
            whole = dataclasses.replace(draw, id="all")
            results[cell.id] = dataclasses.replace(results[cell.id], draw=whole)
    report = gather(cells, results)
    row = csv(report, "leaderboard").set_index("label").loc["lora"]
    assert (row["draws_4"], row["draws_16"]) == (3, 1)
    assert row["top1_4_half"] > 0 and pd.isna(row["top1_16_half"])
    same = [results[c.id].metrics for c in cells if (c.label, c.shots) == ("lora", 16)]
    assert row["top1_16"] == pytest.approx(sum(m["top1"] for m in same if m) / 3)
    assert (row["cells_16"], row["planned_16"]) == (3, 3)
    assert pd.isna(row["rank_low_16"]), "nothing varies, so nothing is decided"
    assert len(csv(report, "cells")) == len(cells)
    assert any("Seeds 1, 2, 3 drew the same images: a at 16 shots." in w for w in report.warnings)


def test_repeated_draws_add_their_mean_and_no_variance() -> None:
    cells = grid(methods=["zero_shot", "lora"], datasets=["a", "b"], shots=[16])
    results = records(cells)
    for cell in cells:  # all images of a are drawn, those of b vary
        draw = results[cell.id].draw
        if cell.dataset == "a" and draw is not None:
            whole = dataclasses.replace(draw, id="all")
            results[cell.id] = dataclasses.replace(results[cell.id], draw=whole)
    report = gather(cells, results)
    row = csv(report, "leaderboard").set_index("label").loc["lora"]
    assert (row["draws_16"], row["draws_most_16"], row["df_16"]) == (1, 3, 2)
    each = csv(report, "per_dataset").query("label == 'lora'").set_index("dataset")
    assert (each.loc["a", "draws"], each.loc["b", "draws"]) == (1, 3)
    assert row["top1_16"] == pytest.approx(each["top1"].mean())
    assert row["top1_16_half"] == pytest.approx(each.loc["b", "top1_half"] / 2, abs=1e-6)
    assert any("adds its mean to an average and no variance" in w for w in report.warnings)


def test_rows_that_do_not_share_a_draw_stay_paired_by_seed() -> None:
    cells = grid(methods=["lora", "coop"], datasets=["a"], shots=[4], seeds=[1, 2])
    results = records(cells)
    for cell in cells:
        if cell.label == "lora":  # its seeds drew the same images, those of coop did not
            draw = results[cell.id].draw
            assert draw is not None
            same = dataclasses.replace(draw, id="same")
            results[cell.id] = dataclasses.replace(results[cell.id], draw=same)
    report = gather(cells, results)
    assert list(csv(report, "leaderboard")["draws_4"]) == [2, 2]
    assert any("Different draws under the same seed in 2 place" in w for w in report.warnings)


def test_draws_are_shown_by_identity() -> None:
    cells = grid(methods=["lora", "coop"], datasets=["a"], shots=[4], seeds=[1])
    results = records(cells)
    for cell, val in zip(cells, ("v" * 64, "w" * 64), strict=True):
        draw = results[cell.id].draw
        assert draw is not None
        chosen = dataclasses.replace(draw, val_id=val, val_images=40)
        results[cell.id] = dataclasses.replace(results[cell.id], draw=chosen)
    report = gather(cells, results)
    table = csv(report, "cells")
    first = results[cells[0].id].draw
    assert first is not None and set(table["draw_id"]) == {first.id}
    assert list(table["val_draw_id"]) == ["v" * 64, "w" * 64]
    shown = report.tables["draws"][0].lines
    assert first.id[:12] in [entry.text for entry in shown[0].entries]
    assert any("Different validation images under the same seed" in w for w in report.warnings)


def test_without_text_features_there_is_no_gain() -> None:
    cells = grid(methods=["linear_probe", "lora"], datasets=["a"], shots=[4])
    results = records(cells)
    for cell in cells:
        metrics = results[cell.id].metrics
        assert metrics is not None
        none = {name: metrics[name] for name in ("images", "top1", "per_class_mean", "ece")}
        results[cell.id] = dataclasses.replace(results[cell.id], metrics=none)
    report = gather(cells, results)
    table = csv(report, "leaderboard")
    assert table["gain_4"].isna().all() and table["top1_4"].notna().all()
    assert not any("frozen model" in sentence for sentence in report.findings)


def test_rows_of_two_protocols_and_backbones_are_kept_apart() -> None:
    cells = grid(methods=["lora"], datasets=["a"], shots=[4])
    both = [*cells, *(dataclasses.replace(c, protocol="val_search") for c in cells)]
    report = gather(both, records(both))
    assert {line.name for line in report.leaderboard.lines} == {"lora [fixed]", "lora [val_search]"}
    assert any("different protocols" in sentence for sentence in report.warnings)
    two = [*cells, *(dataclasses.replace(c, backbone="ViT-B-16") for c in cells)]
    names = {line.name for line in gather(two, records(two)).leaderboard.lines}
    assert names == {"lora @ glyphs", "lora @ ViT-B-16"}


def test_failures_are_listed_with_their_reason() -> None:
    cells = grid(methods=["lora"], datasets=["a"], shots=[4])
    results = records(cells)
    results[cells[1].id] = failed(cells[1])
    line = gather(cells, results).tables["undone"][0].lines[0]
    texts = ("failed", "1", "method: loss is not finite at step 12", "a, 4 shots, seed 2")
    assert tuple(entry.text for entry in line.entries) == texts


def test_terminal_leaderboard_is_aligned() -> None:
    cells: list[FakeCell] = grid(datasets=["a", "b"])
    text = leaderboard_text(gather(cells, records(cells)))
    lines = text.splitlines()
    rule = next(line for line in lines if set(line) == {"─", " "})
    body = lines[lines.index(rule) + 1 :][:8]
    assert {len(line) for line in body} == {len(rule)}
    assert "comp_lora (re-derivation)" in text
