"""A suite on a machine that lacks some of what it needs: planned as far as it goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import harness
from small_suite import SMALL

from harness.errors import HarnessError
from harness.plan.expand import Plan, make_plan, outline
from harness.plan.select import only
from harness.plan.suite import load_suite

LACKING = SMALL.replace("[digits, georgian]", "[digits, dtd, eurosat]")


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither data nor a connection, whatever the machine has."""
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setattr("harness.backbones.weights._unreachable", lambda url: "no connection")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *names: None)


def outlined(folder: Path, text: str) -> Plan:
    path = folder / "suite.yaml"
    path.write_text(text)
    return outline(load_suite(path))


def test_cells_whose_data_is_here_have_their_ids_and_the_others_wait(tmp_path: Path) -> None:
    plan = outlined(tmp_path, LACKING)
    without = outlined(tmp_path, LACKING.replace(", dtd, eurosat", ""))
    assert [cell.id for cell in plan.cells] == [cell.id for cell in without.cells]
    # per data set: zero-shot once, linear probe at two shots
    assert sorted((c.dataset, c.label, c.shots) for c in plan.waiting) == sorted(
        (data, label, shots)
        for data in ("dtd", "eurosat")
        for label, shots in (("zero_shot", 0), ("linear_probe", 1), ("linear_probe", 2))
    )
    assert {t.what: n for t, n in plan.missing.items()} == {
        "data set dtd": 3,
        "data set eurosat": 3,
    }


def test_cells_wait_for_their_retention_sets_too(tmp_path: Path) -> None:
    text = LACKING.replace("retention: [digits]", "retention: [sun397, dtd]")
    plan = outlined(tmp_path, text)
    assert not plan.cells
    counts = {thing.what.split()[-1]: n for thing, n in plan.missing.items()}
    # 9 cells in all; those on dtd (3) do not hold dtd out but need it to adapt to
    assert counts == {"sun397": 9, "dtd": 9, "eurosat": 3}


def test_without_weights_every_cell_waits(tmp_path: Path) -> None:
    backbone = "backbone: {model: ViT-B-16-quickgelu, pretrained: openai}"
    plan = outlined(tmp_path, SMALL.replace("backbone: glyphs", backbone))
    assert not plan.cells
    ((thing, count),) = plan.missing.items()
    assert (thing.what, count) == ("weights ViT-B-16-quickgelu/openai", 6)
    assert "no connection" in thing.why and "checkpoint" in thing.remedy


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dtd", "dtdd", [":2:", '"dtdd"', '"dtd"']),
        ("backbone: glyphs", "backbone: {model: ViT-B-16, pretrained: openai}", ["quickgelu"]),
        ("backbone: glyphs", "backbone: {model: ViT-B-16, pretrained: opnai}", [":1:", "opnai"]),
    ],
)
def test_a_wrong_name_is_an_error_and_not_something_missing(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    with pytest.raises(HarnessError) as caught:
        outlined(tmp_path, LACKING.replace(old, new))
    for word in words:
        assert word in str(caught.value)


def test_what_is_missing_is_named_all_at_once_with_lines_and_commands(tmp_path: Path) -> None:
    text = LACKING.replace("retention: [digits]", "retention: [sun397]")
    with pytest.raises(HarnessError) as caught:
        outlined(tmp_path, text).whole()
    said = str(caught.value)
    assert "9 of 9 cells wait" in said
    for words in ("suite.yaml:2: datasets[1]: ", "suite.yaml:2: datasets[2]: ", "suite.yaml:5: "):
        assert words in said
    assert "harness data fetch dtd --root ROOT; harness data check ROOT dtd" in said
    assert "harness data fetch sun397" not in said, "it has no source to fetch from"


def test_commands_name_the_root_that_the_suite_or_the_environment_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "my data"))
    said = "\n".join(outlined(tmp_path, LACKING).reasons)
    assert f"harness data fetch dtd --root '{tmp_path}/my data'" in said
    assert "export" not in said, "it is set"


def test_what_is_here_can_be_run_alone(tmp_path: Path) -> None:
    plan = only(outlined(tmp_path, LACKING), ["dataset=digits"])
    assert len(plan.whole().cells) == 3
    assert only(outlined(tmp_path, LACKING), ["dataset=dtd", "method=linear_probe"]).missing


def test_images_are_counted_and_never_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            (tmp_path / "pets" / split / name / "1.png").write_bytes(b"not an image")
    pets = "[{name: pets, kind: folder, root: pets}]"
    text = SMALL.replace("[digits, georgian]", pets).replace("retention: [digits]\n", "")
    plan = outlined(tmp_path, text)
    assert len(plan.cells) == 3 and not plan.waiting
    shutil.rmtree(tmp_path / "pets")
    gone = outlined(tmp_path, text)
    assert len(gone.waiting) == 3 and not gone.cells
    assert str(tmp_path / "pets") in gone.reasons[0]


def test_base_to_new_needs_a_data_set_once(tmp_path: Path) -> None:
    plan = outlined(tmp_path, LACKING + "setting: base_to_new\n")
    assert {cell.dataset for cell in plan.waiting} == {"dtd-base", "eurosat-base"}
    assert len(plan.missing) == 2


def test_plan_shows_what_is_missing_and_run_refuses(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(LACKING)
    words = (path, "--results", tmp_path / "results")
    shown = harness("plan", *words)
    assert shown.returncode == 0, shown.stderr
    assert "missing on this machine" in shown.stdout
    assert "6 cells wait" in shown.stdout and "harness data fetch dtd" in shown.stdout
    rows = json.loads(harness("plan", *words, "--json").stdout)
    states = [row["state"] for row in rows]
    assert (states.count("new"), states.count("waiting")) == (3, 6)
    assert all((row["id"] is None) == (row["state"] == "waiting") for row in rows)
    assert rows[-1]["missing"][0]["what"] == "data set eurosat"
    ran = harness("run", *words, "--executor", "serial")
    assert ran.returncode == 2
    assert '"dtd" needs images' in ran.stderr and '"eurosat" needs images' in ran.stderr
    assert not (tmp_path / "results").exists()


def test_a_whole_machine_plans_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SMALL)
    plan = make_plan(load_suite(path))
    assert plan == outline(load_suite(path)) and not plan.missing
