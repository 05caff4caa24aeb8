"""What CONTRIBUTING.md shows works as it is printed there."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from running import Run

from harness.cli import cli
from harness.contract import run_contract
from harness.contract.toy import tiny_backbone
from harness.plan.expand import make_plan
from harness.plan.methods import find_method
from harness.plan.suite import load_suite

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()

TINY = """\
backbone: glyphs
datasets: [digits]
shots: [1]
seeds: [1]
methods: [zero_shot]
"""


def block(section: str, language: str, number: int = 0) -> str:
    """A code block of a language in a section, the first unless told."""
    body = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```\n", body, re.DOTALL)
    assert len(found) > number, f"no {language} block {number} under {section}"
    return str(found[number])


@pytest.fixture
def method(tmp_path: Path) -> Path:
    """The method of the guide, where its suite expects it."""
    path = tmp_path / "path/to/class_mean.py"
    path.parent.mkdir(parents=True)
    path.write_text(block("Add a method", "python"))
    return path


def test_the_method_keeps_the_contract_in_under_forty_lines(method: Path) -> None:
    assert len(method.read_text().splitlines()) < 40
    checks = run_contract(find_method(f"{method}:ClassMean"), tiny_backbone())
    assert [check for check in checks if check.status == "failed"] == []
    skipped = {check.name for check in checks if check.status == "skipped"}
    assert skipped <= {"save and load", "transfer to other class names"}


def test_the_method_runs_in_the_suite_shown(method: Path, tmp_path: Path) -> None:
    from harness.run.cell import run_cell
    from harness.run.resources import Resources

    suite = tmp_path / "my_suite.yaml"
    suite.write_text(block("Add a method", "yaml"))
    plan = make_plan(load_suite(suite))
    assert {cell.label for cell in plan.cells} == {"zero_shot", "tip_adapter", "class_mean"}
    suite.write_text(TINY.replace("zero_shot", "path/to/class_mean.py:ClassMean"))
    (cell,) = make_plan(load_suite(suite)).cells
    record = run_cell(cell, Resources(tmp_path / "cache", "cpu")).record
    assert record.status == "ok", record.failure


@pytest.mark.parametrize(("number", "name"), [(0, "NearCoOp"), (1, "GainLoRA")])
def test_trained_methods_keep_the_contract_in_under_forty_lines(
    tmp_path: Path, number: int, name: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(block("Add a trained method", "python", number))
    assert len(path.read_text().splitlines()) < 40
    checks = run_contract(find_method(f"{path}:{name}"), tiny_backbone())
    assert [check for check in checks if check.status != "passed"] == []


def test_the_change_to_the_backbone_trains_and_ends(tmp_path: Path) -> None:
    shown: dict[str, Any] = {}
    exec(compile(block("Change the backbone", "python"), "CONTRIBUTING.md", "exec"), shown)
    assert shown["scale"].grad is not None and shown["scale"].grad.abs().sum() < 1e-4
    backbone, classes = shown["backbone"], shown["classes"]
    assert torch.equal(backbone.text_features(classes), shown["frozen"])


def test_the_data_set_entry_is_understood(tmp_path: Path) -> None:
    entry = block("Add a data set", "yaml")
    suite = tmp_path / "mine.yaml"
    suite.write_text(TINY.replace("datasets: [digits]\n", entry))
    (spec,) = load_suite(suite).suite.datasets
    assert (spec.name, spec.kind) == ("mine", "folder")


def test_the_measures_are_computed_from_kept_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path/to").mkdir(parents=True)
    (tmp_path / "path/to/likelihood.py").write_text(block("Add a measure", "python"))
    (tmp_path / "my_suite.yaml").write_text(TINY + "keep_logits: true\n")
    Run(make_plan(load_suite(tmp_path / "my_suite.yaml")), tmp_path / "results")
    command = block("Add a measure", "sh").split()
    done = CliRunner().invoke(cli, [*command[1:], "--measure", "path/to/likelihood.py:rare_gain"])
    assert done.exit_code == 0, done.output
    text = Path("results/reports/my_suite/measures.csv").read_text()
    (row,) = csv.DictReader(text.splitlines())
    assert 1 < float(row["nll"]) < 5 and float(row["rare_gain"]) == 0.0, "zero-shot changes nothing"


def test_the_sampler_draws_a_long_tail(tmp_path: Path) -> None:
    (tmp_path / "path/to").mkdir(parents=True)
    (tmp_path / "path/to/long_tail.py").write_text(block("Add a sampler", "python"))
    text = TINY.replace("shots: [1]", "shots: [20]").replace("zero_shot", "nearest_class_mean")
    (tmp_path / "mine.yaml").write_text(text + block("Add a sampler", "yaml"))
    run = Run(make_plan(load_suite(tmp_path / "mine.yaml")), tmp_path / "results")
    (record,) = run.contents.records.values()
    assert record.status == "ok" and record.draw is not None, record.failure
    counts = [max(1, round(20 * 20 ** (-place / 9))) for place in range(10)]
    assert record.draw.sampler == "long_tail" and record.draw.images == sum(counts)
    assert record.draw.classes_short == 9


def test_the_report_part_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "path/to/gain_by_set.py"
    path.parent.mkdir(parents=True)
    path.write_text(block("Add a report part", "python"))
    assert len(path.read_text().splitlines()) < 40
    few = TINY.replace("methods: [zero_shot]", "methods: [zero_shot, tip_adapter]")
    (tmp_path / "my_suite.yaml").write_text(few + block("Add a report part", "yaml"))
    Run(make_plan(load_suite(tmp_path / "my_suite.yaml")), tmp_path / "results")
    done = CliRunner().invoke(cli, ["report", "my_suite.yaml"])
    assert done.exit_code == 0, done.output
    folder = Path("results/reports/my_suite")
    (row,) = csv.DictReader((folder / "gain_by_set.csv").read_text().splitlines())
    (cell,) = [c for c in _rows(folder / "cells.csv") if c["label"] == "tip_adapter"]
    assert (row["dataset"], row["mean"], row["count"]) == ("digits", cell["gain"], "1")
    page = (folder / "index.html").read_text()
    assert "<h2>Gain by data set</h2>" in page and "gain over zero-shot, points" in page
    assert (folder / "gain_by_set.svg").is_file()


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))
