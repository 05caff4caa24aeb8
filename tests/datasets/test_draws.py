"""Few-shot draws: the published ones, hand-made ones, and malformed ones."""

import json
import os
import random
from pathlib import Path

import pytest

from harness.datasets import DatasetError, Item
from harness.datasets.draw_files import DrawFile, to_json_lines, to_split_json
from harness.datasets.draws import draw
from harness.datasets.samplers import ClipLoRA, SamplerSpec, find_sampler
from harness.datasets.split_file import read_split
from harness.plan.samplers import build_sampler

SHARED = Path(
    os.environ.get("HARNESS_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")
)
NEEDS_COOP = pytest.mark.skipif(
    not (SHARED / "coop").is_dir(), reason="no shared/data/coop (see HARNESS_TEST_DATA)"
)
SPLIT_FILES = {
    "caltech101": "Caltech101",
    "dtd": "DescribableTextures",
    "oxford_flowers": "OxfordFlowers",
    "stanford_cars": "StanfordCars",
}


def items(split: str, sizes: list[int]) -> list[Item]:
    """Classes take turns, so that items of a class do not stand together."""
    rows = [(n, c) for c, size in enumerate(sizes) for n in range(size)]
    return [Item(f"{split}/{c}_{n}.png", c, f"class {c}") for n, c in sorted(rows)]


@NEEDS_COOP
@pytest.mark.parametrize("name", SPLIT_FILES)
def test_all_published_draws_are_reproduced_in_order(name: str) -> None:
    splits = read_split(SHARED / "coop" / "splits" / f"split_zhou_{SPLIT_FILES[name]}.json")
    files = sorted((SHARED / "coop" / "draws" / name).glob("*.json"))
    assert len(files) == 15
    for file in files:
        shots, seed = (int(part.split("_")[1]) for part in file.stem.split("-"))
        published = read_split(file)
        episode = draw(splits["train"], splits["val"], shots, seed)
        for ours, theirs in ((episode.train, published["train"]), (episode.val, published["val"])):
            assert [i[1:] for i in ours] == [i[1:] for i in theirs]
            # Published paths begin at the data set's folder, ours at its image root.
            assert all(t.impath.endswith(o.impath) for o, t in zip(ours, theirs, strict=True))


def test_coop_draws_train_first_class_by_class_with_one_generator() -> None:
    train, val = items("train", [5, 5]), items("val", [6, 6])
    rng = random.Random(3)
    expected = [rng.sample([i for i in train if i.label == c], 2) for c in (0, 1)]
    expected_val = [rng.sample([i for i in val if i.label == c], 2) for c in (0, 1)]
    episode = draw(train, val, shots=2, seed=3)
    assert list(episode.train) == expected[0] + expected[1]
    assert list(episode.val) == expected_val[0] + expected_val[1]


def test_clip_lora_draws_val_first() -> None:
    train, val = items("train", [5, 5]), items("val", [6, 6])
    rng = random.Random(3)
    expected_val = [rng.sample([i for i in val if i.label == c], 2) for c in (0, 1)]
    expected = [rng.sample([i for i in train if i.label == c], 2) for c in (0, 1)]
    episode = draw(train, val, shots=2, seed=3, sampler=ClipLoRA())
    assert list(episode.train) == expected[0] + expected[1]
    assert list(episode.val) == expected_val[0] + expected_val[1]


def test_a_small_class_gives_all_its_items_or_is_sampled_with_replacement() -> None:
    train, val = items("train", [3, 20]), items("val", [2, 9])
    coop = draw(train, val, shots=16, seed=1)
    assert [i for i in coop.train if i.label == 0] == [i for i in train if i.label == 0]
    assert len(coop.train) == 3 + 16 and len(coop.val) == 2 + 4
    lora = draw(train, val, shots=16, seed=1, sampler=ClipLoRA())
    small = [i for i in lora.train if i.label == 0]
    assert len(small) == 16 and set(small) <= set(train)
    assert len(lora.train) == 32 and len(lora.val) == 8


def test_classes_come_in_order_of_first_appearance() -> None:
    train = [Item("b", 1, "y"), Item("a", 0, "x"), Item("c", 1, "y")]
    assert [i.label for i in draw(train, [], shots=1, seed=0).train] == [1, 0]


def test_identity_is_the_content_not_the_seed_or_the_order() -> None:
    train, val = items("train", [4, 4]), items("val", [4, 4])
    one, two = draw(train, val, 4, seed=1), draw(train, val, 4, seed=2)
    assert one.train != two.train and one.id == two.id and one.val_id == two.val_id
    assert draw(train, val, 2, seed=1).id != draw(train, val, 2, seed=2).id
    relabelled = [i._replace(label=1 - i.label) for i in train]
    assert draw(relabelled, val, 4, seed=1).id != one.id


def test_json_lines_round_trip(tmp_path: Path) -> None:
    train, val = items("train", [5, 5]), items("val", [6, 6])
    episode = draw(train, val, shots=2, seed=7)
    file = tmp_path / "draw_2_7.jsonl"
    file.write_text(to_json_lines(episode.splits))
    spec = SamplerSpec(f"file:{tmp_path}/draw_{{shots}}_{{seed}}.jsonl")
    again = draw(train, val, 2, 7, build_sampler(spec, 2, 7))
    assert (again.train, again.val, again.id) == (episode.train, episode.val, episode.id)
    first = json.loads(to_json_lines(episode.splits).splitlines()[0])
    assert first == {"split": "train", **episode.train[0]._asdict()}


@NEEDS_COOP
@pytest.mark.parametrize("name", SPLIT_FILES)
def test_published_draws_are_read_with_the_paths_they_have(name: str) -> None:
    splits = read_split(SHARED / "coop" / "splits" / f"split_zhou_{SPLIT_FILES[name]}.json")
    for shots in (1, 16):
        file = SHARED / "coop" / "draws" / name / f"shot_{shots}-seed_2.json"
        read = draw(splits["train"], splits["val"], shots, 2, DrawFile(str(file)))
        drawn = draw(splits["train"], splits["val"], shots, 2)
        assert (read.train, read.val) == (drawn.train, drawn.val)


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\x1d", "\x0b"])
def test_what_some_call_an_end_of_line_may_stand_in_a_name(sign: str, tmp_path: Path) -> None:
    strange = [Item(f"caf{sign}e.png", 0, f"caf{sign}e"), Item("b.png", 1, "b")]
    file = tmp_path / "draw"
    splits = {"train": strange, "val": []}
    for text in (to_json_lines(splits), to_split_json(splits)):
        file.write_text(text)
        assert draw(strange, [], 1, 0, DrawFile(str(file))).train == tuple(strange)
    file.write_text(to_json_lines(splits).replace("\n", "\r\n"))
    assert draw(strange, [], 1, 0, DrawFile(str(file))).train == tuple(strange)


GOOD = '{"impath": "train/0_0.png", "label": 0, "classname": "class 0"}\n'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (GOOD + "{oops", ":2: not JSON"),
        (GOOD + "[1]", ":2: expected"),
        (GOOD + '{"impath": "train/0_1.png", "lable": 0}', 'did you mean "label"'),
        (GOOD + '{"impath": "x.png", "label": 0, "classname": "c"}', ':2: "x.png" is not in'),
        (GOOD.replace('"label": 0', '"label": 1'), ":1: .* has label 1, in the data set it has 0"),
        (GOOD.replace('"label": 0', '"label": "0"'), ":1: label is '0'"),
        (GOOD.replace("{", '{"split": "test", ', 1), ":1: split is 'test'"),
        (GOOD * 2, "2 training images of class .class 0., but the shots asked for are 1"),
        ("\n", "no training image"),
        ('{"train": [], "val": []}', '"train" is empty'),
        ('{"train": [["train/0_0.png", 0]]}', r"train\[0\]: .* is not"),
        ('{"train": [["x/train/0_0.png", 1, "c"]]}', r"train\[0\]: .* has label 1, in the data"),
        ('{"train": [["0.png", 0, "c"]]}', r'train\[0\]: "0.png" is not in the train split$'),
        ('{"train": [["val/0_0.png", 0, "c"]]}', "is not in the train split, it is in val"),
        ('{"train": [["train/0_0.png", 0, "c"]], "test": [["t", 0, "c"]]}', "no test images"),
    ],
)
def test_a_malformed_draw_file_is_named_with_its_line(
    tmp_path: Path, lines: str, message: str
) -> None:
    file = tmp_path / "draw.jsonl"
    file.write_text(lines)
    with pytest.raises(DatasetError, match=message) as error:
        draw(items("train", [5, 5]), items("val", [1]), 1, 0, DrawFile(str(file)))
    assert str(error.value).startswith(str(file))


def test_wrong_calls_say_what_is_right() -> None:
    train = items("train", [2])
    with pytest.raises(DatasetError, match=r'"cop" .did you mean "coop"'):
        find_sampler("cop")
    with pytest.raises(DatasetError, match="shots is 0"):
        draw(train, [], 0, 0)
    with pytest.raises(DatasetError, match="no training items"):
        draw([], [], 1, 0)
    with pytest.raises(DatasetError, match=r"absent.jsonl: cannot be read"):
        draw(train, [], 1, 0, DrawFile("absent.jsonl"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ('{"train": [', ":1: not JSON"),
        ("[]", "expected an object"),
        ('{"val": []}', 'missing key "train"'),
        ('{"train": []}', '"train" is empty'),
        ('{"train": {}}', '"train" is dict, expected a list'),
        ('{"train": [["a.jpg", 0]]}', r'train\[0\]: \["a.jpg", 0\] is not'),
        ('{"train": [["a.jpg", 0, "cat"], ["b.jpg", "1", "dog"]]}', r"train\[1\]: label is '1'"),
        ('{"train": [["a.jpg", true, "cat"]]}', "label is True"),
        ('{"train": [["a.jpg", 0, "cat"]], "valid": []}', 'unknown key "valid"'),
    ],
)
def test_a_malformed_split_file_is_named_with_the_item(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "split.json"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        read_split(file)
    assert str(error.value).startswith(str(file))


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "shot_1-seed_1.pkl"
    file.write_bytes(b"\x80\x04\x95\x00")
    with pytest.raises(DatasetError, match="pickles are never loaded"):
        draw(items("train", [5]), [], 1, 0, DrawFile(str(file)))


def test_a_small_class_may_have_given_all_it_has(tmp_path: Path) -> None:
    train = items("train", [2, 3])
    file = tmp_path / "draw.jsonl"
    for given in (train, [item for item in train if item.label == 0]):
        file.write_text(to_json_lines({"train": given, "val": []}))
        assert len(draw(train, [], 4, 0, DrawFile(str(file))).train) == len(given)


def test_names_in_a_draws_file_can_be_read_by_people() -> None:
    splits = {"train": [Item("crêpe/1.jpg", 0, "crêpe")], "val": []}
    assert "crêpe/1.jpg" in to_json_lines(splits) and "crêpe/1.jpg" in to_split_json(splits)
