"""The command line as a user meets it: messages, exit statuses, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import harness, in_a_process
from running import PLUGINS
from small_suite import SMALL


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; import harness.cli;"
        "heavy = {'torch', 'ray', 'pandas', 'matplotlib', 'open_clip', 'numpy', 'rich'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    shown = in_a_process("--help")
    assert shown.returncode == 0
    for verb in ("run", "plan", "status", "report", "list", "test", "draw", "data"):
        assert f"\n  {verb} " in shown.stdout


def test_run_report_status_and_plan(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    before = harness("plan", suite, "--results", results, "--json")
    assert {cell["state"] for cell in json.loads(before.stdout)} == {"new"}
    assert not results.exists(), "planning writes nothing"
    ran = harness("run", suite, "--results", results, "--executor", "serial")
    assert ran.returncode == 0, ran.stderr
    page = results / "reports" / "small" / "index.html"
    assert str(page) in ran.stdout and page.is_file()
    assert "linear_probe" in ran.stdout
    tables = {path.name: path.read_bytes() for path in page.parent.glob("*.csv")}
    assert {"cells.csv", "leaderboard.csv", "per_dataset.csv", "forgetting.csv"} <= set(tables)
    again = harness("report", suite, "--results", results, "--out", tmp_path / "again")
    assert again.returncode == 0
    for name, content in tables.items():
        assert (tmp_path / "again" / name).read_bytes() == content, "same store, same bytes"
    assert "6 done" in harness("status", suite, "--results", results).stdout
    after = harness("plan", suite, "--results", results, "--json")
    assert {cell["state"] for cell in json.loads(after.stdout)} == {"done"}


def test_failed_cells_leave_status_1_and_are_told(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SMALL + f"  - '{PLUGINS}:Fails'\n")
    words = (suite, "--results", tmp_path / "r")
    ran = harness(
        "run", *words, "--executor", "serial", "--only", "label=fails", "--only", "shots=1"
    )
    assert ran.returncode == 1
    assert "fails on digits shots=1 seed=1: method: RuntimeError: it broke" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    shown = harness("status", *words)
    assert shown.returncode == 1
    assert "it broke" in shown.stdout and "failures" in shown.stdout


def test_skipped_cells_are_counted_and_explained(suite: Path, tmp_path: Path) -> None:
    """By run, when it skips them and when it finds them skipped; by status and plan."""
    suite.write_text(SMALL + f"  - '{PLUGINS}:Skips'\n")
    words = (suite, "--results", tmp_path / "r")
    reason = "skipped: skips, 4 cells: this tower has no attention sites"
    ran = harness("run", *words, "--executor", "serial")
    assert "10 cells run in" in ran.stdout and ": 0 failed, 4 skipped\n" in ran.stdout
    again = harness("run", *words, "--executor", "serial")
    assert "(6 done, 0 stale, 0 failed, 4 skipped)" in again.stdout
    status, planned = harness("status", *words), harness("plan", *words)
    assert "6 done, 0 failed, 0 stale, 0 new, 4 skipped" in status.stdout
    for shown in (ran, again, status, planned):
        assert shown.returncode == 0 and reason in shown.stdout
    states = [cell["state"] for cell in json.loads(harness("plan", *words, "--json").stdout)]
    assert (states.count("done"), states.count("skipped")) == (6, 4)


def test_a_corrupt_record_is_named_by_report_and_mended_by_run(suite: Path, tmp_path: Path) -> None:
    words = (suite, "--results", tmp_path / "r", "--only", "method=zero_shot")
    assert harness("run", *words, "--executor", "serial").returncode == 0
    path = sorted((tmp_path / "r" / "cells").iterdir())[0]
    path.write_text("{")
    reported = harness("report", *words)
    assert reported.returncode == 1
    assert str(path) in reported.stdout
    assert path.read_text() == "{", "reporting changes nothing"
    assert harness("run", *words, "--executor", "serial").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: No such file"),
        (("plan", "nowhere.yaml"), "nowhere.yaml: No such file"),
        (("draw", "nowhere.json", "--shots", "1", "--seed", "1"), "nowhere.json"),
        (("draw", "nowhere.json", "--shots", "0", "--seed", "1"), "--shots"),
        (("test", "nowhere.py:Thing"), "nowhere.py"),
        (("test", "zero_shoot"), 'did you mean "zero_shot"?'),
        (("list", "things"), "things"),
        (("plan", "fewshot", "--tflops", "nan"), "nan is not a finite number above 0"),
        (("plan", "fewshot", "--tflops", "inf"), "inf is not a finite number above 0"),
        (("plan", "fewshot", "--tflops", "0"), "--tflops"),
        (("run", "fewshot", "--threads", "999"), "--threads 999: this machine has"),
        (("run", "fewshot", "--workers", "999"), "--workers 999: this machine has"),
        (("data", "check", "nowhere"), "nowhere"),
        (("rnu",), "rnu"),
    ],
)
def test_bad_usage_is_status_2_and_one_message(words: tuple[str, ...], said: str) -> None:
    done = harness(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_image_is_named_and_the_rest_of_the_grid_runs(tmp_path: Path) -> None:
    from PIL import Image

    for split, count in (("train", 3), ("val", 4), ("test", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (40, 36), (number * 60, 0, 0)).save(folder / f"{number}.png")
    truncated = tmp_path / "pets" / "test" / "dog" / "1.png"
    truncated.write_bytes(truncated.read_bytes()[:50])
    path = tmp_path / "pets.yaml"
    text = SMALL.replace("[digits, georgian]", "[{name: pets, kind: folder, root: pets}, digits]")
    path.write_text(text.replace("retention: [digits]\n", ""))
    ran = harness("run", path, "--results", tmp_path / "r", "--executor", "serial")
    assert ran.returncode == 1
    assert str(truncated) in ran.stdout
    assert "3 failed" in ran.stdout


def test_draw_prints_the_coop_draw(tmp_path: Path) -> None:
    items = [[f"c{label}/{n}.jpg", label, f"class {label}"] for label in (0, 1) for n in range(5)]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": items, "val": items, "test": []}))
    done = harness("draw", split, "--shots", "2", "--seed", "1")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["split"] for row in rows] == ["train"] * 4 + ["val"] * 4
    assert set(rows[0]) == {"split", "impath", "label", "classname"}
    assert [row["label"] for row in rows[:4]] == [0, 0, 1, 1]


def test_list(tmp_path: Path) -> None:
    methods = harness("list", "methods").stdout.splitlines()
    assert len(methods) == len({line.split()[0] for line in methods}), "one line each"
    (lora,) = (line for line in methods if line.startswith("comp_lora "))
    assert "Wang et al." in lora and "2025" in lora and "re-derivation" in lora
    assert "digits" in harness("list", "datasets").stdout
    assert "glyphs" in harness("list", "backbones").stdout
    assert "search/rates" in harness("list", "suites").stdout
