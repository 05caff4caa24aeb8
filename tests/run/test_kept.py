"""What is kept gives the record's numbers again, exactly; what cannot is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from running import Run
from small_suite import SMALL, MakePlan

from harness.errors import HarnessError
from harness.measure import Scored
from harness.run.kept import Kept, read_kept, to_arrays
from harness.run.measures import measured

KEEP = SMALL.replace("seeds: [1]", "seeds: [1]\nkeep_logits: true")


def close() -> Kept:
    """Two scores that differ by .003 at a logit scale of 100, and one beyond float16."""
    logits = torch.tensor([[80.001, 80.004, 0.0], [1e5, 9e4, 0.0], [3.0, 2.0, 70000.0]])
    frozen = torch.tensor([[80.004, 80.001, 0.0], [9e4, 1e5, 0.0], [3.0, 2.0, 1.0]])
    labels, counts = torch.tensor([1, 0, 2]), torch.tensor([2, 2, 0])
    scored = Scored(logits, frozen, labels, ("a b", "ç", ""), counts)
    return Kept(scored, ("x/1.png", "é\udc80/2.png", "x/3.png"))


def written(folder: Path, sets: dict[str, Kept]) -> Path:
    path = folder / "kept.npz"
    np.savez_compressed(path, **to_arrays(sets))  # type: ignore[arg-type]
    return path


def test_what_is_read_is_what_was_scored(tmp_path: Path) -> None:
    kept = close()
    other = Kept(Scored(*(getattr(kept.scored, n) for n in ("logits",)), None, kept.scored.labels,
                        kept.scored.classes, kept.scored.support_counts), kept.paths)  # fmt: skip
    found = read_kept(written(tmp_path, {"test": kept, "retention/test": other}))
    assert found.keys() == {"test", "retention/test"}
    again = found["test"].scored
    assert again.logits.dtype == torch.float32
    assert torch.equal(again.logits, kept.scored.logits)
    assert (again.classes, found["test"].paths) == (kept.scored.classes, kept.paths)
    assert torch.equal(again.support_counts, kept.scored.support_counts)
    assert measured(again) == measured(kept.scored)
    assert measured(again)["top1"] == 100.0 and measured(again)["won"] == 3
    assert found["retention/test"].scored.frozen_logits is None


def test_a_record_comes_out_again_exactly(plan_of: MakePlan, tmp_path: Path) -> None:
    run = Run(plan_of(KEEP), tmp_path)
    assert run.result.ran == 6 and run.contents.logits == set(run.contents.records)
    for cell_id, record in run.contents.records.items():
        kept = read_kept(run.store.logits / f"{cell_id}.npz")
        assert measured(kept["test"].scored) == record.metrics
        for name, retention in record.retention.items():
            assert (retention is None) == (f"retention/{name}" not in kept)
            if retention is not None:
                assert measured(kept[f"retention/{name}"].scored) == retention.metrics
        drawn = record.draw.images if record.draw else 0
        assert kept["test"].scored.support_counts.sum() == drawn
        assert len(set(kept["test"].paths)) == len(kept["test"].paths) > 0


def test_files_that_cannot_be_scored_say_why(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"

    def message() -> str:
        with pytest.raises(HarnessError) as error:
            read_kept(path)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
        return str(error.value)

    assert "no such file" in message()
    np.savez_compressed(path, logits=np.zeros((2, 3), np.float16), labels=np.zeros(2))
    assert re.search("float16 by an earlier version.*delete the file and run", message())
    path.write_bytes(b"PK not a zip")
    assert "not a whole file" in message()
    whole = written(tmp_path, {"test": close()}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a whole file" in message()
    np.savez_compressed(path, **{"test/logits": np.array([{"a": 1}], dtype=object)})
    assert "not a whole file" in message(), "no pickle is ever read"
    np.savez_compressed(path, **{**to_arrays({"test": close()}), "test/labels": np.arange(2)})
    assert "arrays of test do not fit together" in message()
    np.savez_compressed(path, other=np.arange(2))
    assert "there is no test/logits" in message()
