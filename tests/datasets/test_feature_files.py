"""Pre-computed features: hand-made files, malformed ones, and real CLIP ViT-B/32 features."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from disk import SHARED, needs

from harness.datasets import Dataset, DatasetError, DatasetSpec, feature_files, load_dataset
from harness.datasets.draws import draw
from harness.datasets.feature_files import FeatureDataset
from harness.datasets.rows import Rows
from harness.features.cache import FeatureCache
from harness.run import evaluation
from harness.task import Classes

Arrays = dict[str, Any]


def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    made: Arrays = {"classnames": np.array(["cat", "Hot_Dog", "zebra"])}
    for key, count in (("train1", 3), ("train4", 12), ("val", 6), ("test", 9)):
        made[f"{key}_x"] = rng.normal(size=(count, 5)).astype(np.float16)
        made[f"{key}_y"] = (np.arange(count) % 3).astype(np.int16)
    made["val_impath"] = np.array([f"v{n}.jpg" for n in range(6)])
    return made


def load(tmp_path: Path, made: Arrays, text: Arrays | None = None, **options: Any) -> Dataset:
    np.savez(tmp_path / "f.npz", **made)
    if text is not None:
        np.savez(tmp_path / "t.npz", **text)
        options["text"] = "t.npz"
    spec = {"name": "f", "kind": "features", "root": "f.npz", **options}
    return load_dataset(DatasetSpec.model_validate(spec).resolve(tmp_path))


def test_features_follow_the_items(tmp_path: Path) -> None:
    made = arrays()
    data = load(tmp_path, made)
    assert not data.has_pixels and data.class_names == ("cat", "Hot Dog", "zebra")
    assert [len(data.items(s)) for s in ("train", "val", "test")] == [12, 6, 9]
    assert data.items("val")[2] == ("val/v2.jpg", 2, "zebra")
    some = (data.items("test")[4], data.items("train")[11], data.items("test")[4])
    expected = np.stack([made["test_x"][4], made["train4_x"][11], made["test_x"][4]])
    assert np.array_equal(data.features(some), expected.astype(np.float32))
    assert data.features(()).shape == (0, 5) and data.text_features() is None
    with pytest.raises(DatasetError, match="no pixels"):
        data.read(some)
    with pytest.raises(DatasetError, match="no features of"):
        data.features([some[0]._replace(impath="x")])
    assert len(draw(data.items("train"), data.items("val"), 2, 1).train) == 6


def test_a_folder_of_npy_files_is_the_same(tmp_path: Path) -> None:
    made = arrays()
    data = load_folder(in_folder(tmp_path, made))
    assert data.fingerprint == load(tmp_path, made).fingerprint


def in_folder(tmp_path: Path, made: Arrays, name: str = "folder") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    for key, array in made.items():
        np.save(folder / f"{key}.npy", array)
    return folder


def load_folder(folder: Path) -> FeatureDataset:
    data = load_dataset(DatasetSpec(name="f", kind="features", root=str(folder)))
    assert isinstance(data, FeatureDataset)
    return data


def test_the_fingerprint_is_of_names_items_and_float32_features(tmp_path: Path) -> None:
    made = arrays()
    keys = {"train": "train4", "val": "val", "test": "test"}
    content: Arrays = {"text": ""}
    for split, key in keys.items():
        x = made[f"{key}_x"].astype("<f4")
        content[split] = hashlib.sha256(f"<f4 {x.shape}".encode() + x.tobytes()).hexdigest()
    splits = {
        split: [
            [f"{key}/v{n}.jpg" if split == "val" else f"{key}/{n:05d}", n % 3]
            for n in range(len(made[f"{key}_x"]))
        ]
        for split, key in keys.items()
    }
    whole = {"class_names": ["cat", "Hot Dog", "zebra"], "splits": splits, "content": content}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert load(tmp_path, made).fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_npy_files_are_mapped_and_not_converted(tmp_path: Path) -> None:
    data = load_folder(in_folder(tmp_path, arrays()))
    for rows in data.splits.values():
        assert isinstance(rows.array, np.memmap) and rows.array.dtype == np.float16
    test = data.items("test")
    assert list(test[2:5]) == [test[2], test[3], test[4]] and len(test[20:]) == 0
    assert np.array_equal(data.features(test[2:5]), data.features(list(test)[2:5]))
    with pytest.raises(DatasetError, match="no features of"):
        data.features([test[0]._replace(impath="test/9")])  # not how row 9 is written
    with pytest.raises(DatasetError, match="no features of"):
        data.features([test[0]._replace(impath="test/00009")])  # rows 0 to 8


def test_a_large_folder_is_read_through_once_per_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    folder = in_folder(tmp_path, arrays())
    expected = load_folder(folder).fingerprint
    assert not (tmp_path / "home").exists()  # small ones leave nothing behind
    monkeypatch.setattr(feature_files, "LARGE", 1)
    read: list[int] = []
    chunks = Rows.chunks
    monkeypatch.setattr(Rows, "chunks", lambda self: read.append(1) or chunks(self))
    assert load_folder(folder).fingerprint == expected and read
    read.clear()
    assert load_folder(folder).fingerprint == expected and not read
    changed = arrays()["test_x"] + 1
    np.save(folder / "test_x.npy", changed)
    os.utime(folder / "test_x.npy", ns=(1, 1))  # the clock of a file system may tick slowly
    assert load_folder(folder).fingerprint != expected and read
    np.save(folder / "test_x.npy", np.full_like(changed, np.nan))
    os.utime(folder / "test_x.npy", ns=(2, 2))
    for _ in range(2):  # a bad state is not remembered
        with pytest.raises(DatasetError, match=r"test_x\[0\] has NaN"):
            load_folder(folder)


def test_where_nothing_can_be_remembered_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_files, "LARGE", 1)
    (tmp_path / "home").write_text("a file where a folder is wanted")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    folder = in_folder(tmp_path, arrays())
    with pytest.warns(UserWarning, match="read through at every start"):
        load_folder(folder)


def test_features_too_many_to_keep_are_read_by_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = arrays()
    made["test_x"] = np.tile(made["test_x"], (40, 1))  # 360 images: more than a batch
    made["test_y"] = np.tile(made["test_y"], 40)
    data = load_folder(in_folder(tmp_path, made))
    backbone: Any = SimpleNamespace(image_size=1, device=torch.device("cpu"))
    batches = []
    for limit in (2**20, 0):
        monkeypatch.setattr(evaluation, "_KEEP_BYTES", limit)
        cache = FeatureCache(tmp_path / "cache")
        test = evaluation.Evaluation(data, data.items("test"), Classes(("a",)), backbone, cache)
        batches.append([batch.features for batch in test.batches()])
    assert [len(batch) for batch in batches[0]] == [256, 104]
    assert all(torch.equal(kept, read) for kept, read in zip(*batches, strict=True))
    assert torch.equal(torch.cat(batches[1]), torch.from_numpy(made["test_x"]).float())


def test_the_support_is_chosen_by_its_shots(tmp_path: Path) -> None:
    made = arrays()
    data = load(tmp_path, made, support=1)
    assert len(data.items("train")) == 3 and data.fingerprint != load(tmp_path, made).fingerprint
    with pytest.raises(DatasetError, match=r"no train2_x \(K-shot sets there: 1, 4\)"):
        load(tmp_path, made, support=2)


def test_text_features_by_name(tmp_path: Path) -> None:
    emb = np.arange(1.0, 21.0, dtype=np.float32).reshape(4, 5)
    text = {"names": np.array(["zebra", "Cat", "hot dog", "cat"]), "emb": emb}
    data = load(tmp_path, arrays(), text)
    expected = emb[[1, 2, 0]]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = data.text_features()
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert data.fingerprint != load(tmp_path, arrays()).fingerprint


def test_classes_without_a_text_feature(tmp_path: Path) -> None:
    made = arrays()
    text = {"names": np.array(["zebra", "cat"]), "emb": np.eye(2, 5)}
    with pytest.raises(DatasetError, match=r"of 1 classes of f \(Hot_Dog\); classes: named keeps"):
        load(tmp_path, made, text)
    data = load(tmp_path, made, text, classes="named")
    assert data.class_names == ("cat", "zebra")
    assert [i.label for i in data.items("test")] == [0, 1, 0, 1, 0, 1]
    rows = [0, 2, 3, 5, 6, 8]
    assert np.array_equal(data.features(data.items("test")), made["test_x"][rows].astype("f4"))
    assert np.array_equal(data.text_features(), [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    with pytest.raises(DatasetError, match="needs text"):
        load(tmp_path, made, classes="named")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classnames": None}, "no classnames"),
        ({"test_x": None}, "no test_x"),
        ({"test_y": None}, "no test_y"),
        ({"test_y": np.arange(9)}, r"test_y\[3\] is 3, there are 3 classes"),
        ({"test_y": np.zeros(8, int)}, r"expected features \(n, d\) and integer labels"),
        ({"test_y": np.zeros(9)}, "integer labels"),
        ({"test_x": np.full((9, 5), np.nan)}, r"test_x\[0\] has NaN"),
        ({"test_x": np.zeros((9, 4))}, "differ in width"),
        ({"val_impath": np.array(["a"])}, "val_impath has 1 rows"),
        ({"test_x": np.array([{}], dtype=object)}, "not an .npz file of plain arrays"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, change: Arrays, message: str) -> None:
    made = {k: v for k, v in {**arrays(), **change}.items() if v is not None}
    with pytest.raises(DatasetError, match=message) as error:
        load(tmp_path, made)
    assert "f.npz" in str(error.value)


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    spec = DatasetSpec(name="f", kind="features", root=str(tmp_path / "f.npz"))
    with pytest.raises(DatasetError, match=r"f.npz: cannot be read"):
        load_dataset(spec)
    (tmp_path / "f.npz").write_text("no archive")
    with pytest.raises(DatasetError, match=r"f.npz: not an .npz file"):
        load_dataset(spec)


def accuracy(data: Dataset, heads: np.ndarray) -> float:
    items = data.items("test")
    right = (data.features(items) @ heads.T).argmax(1) == [i.label for i in items]
    return 100 * float(right.mean())


FEATURES = SHARED / "features"


@needs("features")
def test_real_zero_shot_on_caltechs_41_named_classes() -> None:
    spec = DatasetSpec(
        name="caltech101",
        kind="features",
        root=str(FEATURES / "caltech101.npz"),
        text=str(FEATURES / "text_vocab_a_name.npz"),
        classes="named",
    )
    data = load_dataset(spec)
    text = data.text_features()
    assert text is not None and text.shape == (41, 512) and len(data.items("test")) == 1058
    assert accuracy(data, text) == pytest.approx(96.98, abs=0.005)


@needs("features")
@pytest.mark.parametrize(("name", "percent"), [("caltech101", 91.36), ("oxford_flowers", 92.33)])
def test_real_nearest_class_mean(name: str, percent: float) -> None:
    data = load_dataset(DatasetSpec(name=name, kind="features", root=str(FEATURES / f"{name}.npz")))
    x = data.features(data.items("train"))
    y = np.array([i.label for i in data.items("train")])
    means = np.stack([x[y == c].mean(0) for c in range(len(data.class_names))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert accuracy(data, means) == pytest.approx(percent, abs=0.005)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text", "damaged, or of another kind"),
        ("half", "damaged, or of another kind"),
        ("array", "a single array, of np.save"),
        ("objects", "write names as text, not as objects"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_our_words(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "f.npz"
    with path.open("wb") as file:
        if content == "array":
            np.save(file, np.ones(3))
        elif content == "objects":
            np.savez(file, classnames=np.array(["a", None], dtype=object))
        else:
            np.savez(file, test_x=np.ones((9, 4)))
    if content == "half":
        path.write_bytes(path.read_bytes()[:200])
    elif content == "text":
        path.write_text("features")
    with pytest.raises(DatasetError, match=said) as caught:
        feature_files.load_features("mine", path)
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("kind", ["U1", "complex64", "bool"])
def test_features_that_are_no_real_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    x = np.ones((2, 4)).astype(kind)
    path = tmp_path / "f.npz"
    np.savez(path, classnames=["a", "b"], test_x=x, test_y=[0, 1])
    with pytest.raises(DatasetError, match=r"test_x is .*, expected real numbers"):
        feature_files.load_features("mine", path)
