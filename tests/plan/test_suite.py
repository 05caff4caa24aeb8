"""A suite file: what is read, and what is said of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.plan.suite import load_suite

GOOD = """\
backbone: glyphs
datasets: [digits, letters]
shots: [1, 4]
seeds: [1]
methods:
  - zero_shot
  - name: lora
    label: low rank
    config: {lr: 1e-3}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(text)
    return path


def test_a_good_suite_is_read_and_named_after_its_file(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD)).suite
    assert suite.name == "suite"
    assert [spec.name for spec in suite.datasets] == ["digits", "letters"]
    assert suite.shots == (1, 4)
    assert suite.methods[0].name == "zero_shot"
    assert suite.methods[1].label == "low rank"
    assert suite.protocol == "fixed"


def test_numbers_with_an_exponent_are_numbers(tmp_path: Path) -> None:
    assert load_suite(write(tmp_path, GOOD)).suite.methods[1].config == {"lr": 0.001}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("shots: [1, 4]", "shot: [1, 4]", 3, ['unknown key "shot"', 'did you mean "shots"?']),
        ("label: low rank", "lable: low rank", 8, ["methods[1]", 'did you mean "label"?']),
        ("shots: [1, 4]", "shots: [1, four]", 3, ['shots[1]: "four": expected a whole number of']),
        ("shots: [1, 4]", "shots: [0]", 3, ["shots[0]: 0: expected a whole number of at least 1"]),
        ("shots: [1, 4]", "shots: 0", 3, ["shots: 0: expected a whole number of at least 1"]),
        ("shots: [1, 4]", "shots: [1.5]", 3, ["shots[0]: 1.5: expected a whole number"]),
        ("shots: [1, 4]", "shots: [true]", 3, ["shots[0]: true: expected a whole number"]),
        ("shots: [1, 4]", "shots: .inf", 3, ["shots: .inf: expected a whole number"]),
        (
            "shots: [1, 4]",
            "shots:",
            3,
            ["shots: null: expected a whole number of at least 1, or a list"],
        ),
        ("shots: [1, 4]", "shots: []", 3, ["shots", "the grid is empty"]),
        ("shots: [1, 4]", "shots: [4, 4]", 3, ["shots", "listed twice: 4"]),
        ("label: low rank", "label: 1.5", 8, ["methods[1].label: 1.5: expected text"]),
        ("  - zero_shot", "  - true", 6, ["methods[0]: true: expected a name, or a mapping"]),
        ("  - zero_shot", "  - 5", 6, ["methods[0]: 5: expected a name, or a mapping"]),
        ("[digits, letters]", "[digits, 5]", 2, ["datasets[1]: 5: expected a name, or a mapping"]),
        ("glyphs", "[glyphs]", 1, ['backbone: ["glyphs"]: expected a name, or a mapping']),
        ("seeds: [1]", "seeds: [1]\nkeep_logits: maybe", 5, ['"maybe": expected true or false']),
        (
            "seeds: [1]",
            "seeds: [1]\naugment: {scale: [1]}",
            5,
            ["augment.scale: [1]: expected a list of 2: a number, a number"],
        ),
        ("seeds: [1]", "seeds: [1]\naugment: {scale: [a, 1]}", 5, ['augment.scale[0]: "a": ']),
        ("seeds: [1]\n", "", 1, ['the key "seeds" is missing']),
        ("seeds: [1]", "seeds: [1]\nseeds: [2]", 5, ['"seeds" stands twice', "line 4"]),
        (
            "seeds: [1]",
            "seeds: [1]\nprotocol: fixd",
            5,
            ['"fixd": expected one of fixed, val_search'],
        ),
        ("seeds: [1]", 'seeds: [1]\ntemplates: ["a photo"]', 5, ["templates", "{}"]),
        ("seeds: [1]", "seeds: [1", 5, ['"[" on line 4 is not closed']),
        ("seeds: [1]", "seeds: {1", 5, ['"{" on line 4 is not closed']),
        ("seeds: [1]", "seeds: 'a", 10, ["quote opened on line 4 is not closed"]),
        ("seeds: [1]", "seeds: 1: 2", 4, ['a second ":"']),
        ("seeds: [1]", "seeds: *one", 4, ["no anchor of this name"]),
        ("seeds: [1]", "\tseeds: [1]", 4, ["a tab: indent with spaces"]),
        ("seeds: [1]", "seeds: @1", 4, ["quote the text"]),
        ("seeds: [1]", "seeds: !!python/name:os.system 1", 4, ["a tag (!…) is not read"]),
        ("seeds: [1]", "seeds: [1]\n---\na: 1", 5, ["a second document"]),
        ("seeds: [1]", "seeds: [1]\n words", 5, ["indent"]),
        ("backbone", "%YAML 1.1\n---\nbackbone", 1, ["leave the line of directives"]),
        ("seeds: [1]", "? [1, 2]\n: 3", 4, ["a key is a word"]),
    ],
)
def test_a_bad_suite_is_refused_with_file_line_and_fix(
    tmp_path: Path, old: str, new: str, line: int, words: list[str]
) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(HarnessError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: "), message
    for word in words:
        assert word in message, message


def test_a_value_that_is_not_what_its_tag_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"suite\.yaml: a value is not what its tag"):
        load_suite(write(tmp_path, GOOD + "name: !!int x\n"))


def test_a_single_value_stands_for_a_list_of_it(tmp_path: Path) -> None:
    text = "backbone: glyphs\ndatasets: digits\nshots: 2\nseeds: 1\nmethods: linear_probe\n"
    single = load_suite(write(tmp_path, text)).suite
    listed = text.replace("digits", "[digits]").replace("2", "[2]").replace("1", "[1]")
    assert (
        single
        == load_suite(write(tmp_path, listed.replace("linear_probe", "[linear_probe]"))).suite
    )


def test_values_are_what_they_look_like(tmp_path: Path) -> None:
    text = GOOD.replace("[1]", "[010, 1_0_1]") + "name: 2024\ndescription: yes\n"
    suite = load_suite(write(tmp_path, text.replace("- zero_shot", "- no"))).suite
    assert suite.seeds == (10, 101)
    assert (suite.name, suite.description, suite.methods[0].name) == ("2024", "yes", "no")


def test_keys_that_begin_with_x_hold_what_is_repeated(tmp_path: Path) -> None:
    text = "x-common: &common {lr: 1e-3}\n" + GOOD.replace("{lr: 1e-3}", "{<<: *common, rank: 4}")
    suite = load_suite(write(tmp_path, text)).suite
    assert suite.methods[1].config == {"lr": 0.001, "rank": 4}


@pytest.mark.parametrize("text", ["", "- a list", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(HarnessError, match="a suite is a mapping"):
        load_suite(write(tmp_path, text))


def test_a_missing_or_binary_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"nowhere\.yaml: No such file"):
        load_suite(tmp_path / "nowhere.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HarnessError, match="not UTF-8"):
        load_suite(binary)


def test_a_file_of_zeros_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"suite\.yaml: not a text file"):
        load_suite(write(tmp_path, "\0\0\0"))


@pytest.mark.parametrize("name", ["../../escape", "a/b", "..", "a\\b"])
def test_a_name_cannot_lead_out_of_the_reports(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match=r"suite\.yaml:1: name: .*names the report's folder"):
        load_suite(write(tmp_path, f"name: '{name}'\n{GOOD}"))


def test_yaml_that_would_build_objects_is_refused(tmp_path: Path) -> None:
    text = GOOD + "description: !!python/object/apply:os.system [true]\n"
    with pytest.raises(HarnessError, match=r"suite\.yaml:10"):
        load_suite(write(tmp_path, text))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("shots:", "shot:").replace("label:", "lable:")
    with pytest.raises(HarnessError) as caught:
        load_suite(write(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 3  # two unknown keys, one missing


@pytest.mark.parametrize("name", ["'   '", '"a\\nb"', '"a\\u0007b"', "é" * 150])
def test_a_name_that_no_folder_or_table_holds_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match=r"suite.yaml:\d+: name: .*(one line|200 bytes)"):
        load_suite(write(tmp_path, GOOD + f"name: {name}\n"))


@pytest.mark.parametrize("key", ["shots", "seeds"])
def test_a_number_that_no_table_holds_is_refused(tmp_path: Path, key: str) -> None:
    huge = 10**22
    lines = [line for line in GOOD.splitlines() if not line.startswith(key)]
    path = write(tmp_path, "\n".join([*lines, f"{key}: {huge}", ""]))
    with pytest.raises(HarnessError, match=f"{key}: {huge}: expected at most 2147483647"):
        load_suite(path)


def test_a_method_written_as_a_key_is_told_how_to_write_it(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.partition("methods")[0] + "methods: [{lora: {rank: 4}}]\n")
    with pytest.raises(HarnessError, match=r"write \{name: lora, config: \{…\}\}"):
        load_suite(path)


def test_a_date_is_quoted_as_it_was_written(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r'retention.*: "2024-01-01": expected a name'):
        load_suite(write(tmp_path, GOOD + "retention: [2024-01-01]\n"))


def test_text_of_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_bytes(b"x-a: 1\ndescription: caf\xe9\n")
    with pytest.raises(HarnessError, match=r"suite.yaml:2: not UTF-8 text \(byte 0xe9\): save it"):
        load_suite(path)
