"""The number of shots shown is not always the number of images used: said where it stands."""

from __future__ import annotations

import dataclasses

from synthetic import grid, record

from harness.reports import Content, gather
from harness.store.record import Draw


def report_of(short: int = 0, whole: bool = False) -> Content:
    """4, 8 and 16 shots; `short` classes of ten gave fewer than 16; or 40 images at every shots."""
    cells = grid(["lora", "coop"], ["four"], [4, 8, 16], [1, 2])
    found = {}
    for cell in cells:
        images = 40 if whole else 10 * cell.shots - short
        lacking = 10 * (cell.shots > 4) if whole else short * (cell.shots == 16)
        name = "all" if whole else f"{cell.shots}-{cell.seed}"
        draw = Draw(name, "coop", images, "", 0, 10, lacking)
        found[cell.id] = dataclasses.replace(record(cell), draw=draw)
    return gather(cells, found)


def test_images_stand_under_every_heading() -> None:
    table = report_of().tables["per_dataset"][0]
    assert table.under == ("", "40 images", "80 images", "160 images")
    assert not any("‡" in name for name in table.head)


def test_classes_that_gave_fewer_are_counted_where_the_number_stands() -> None:
    report = report_of(short=5)
    assert report.leaderboard.head[1:4] == ("4 shots", "8 shots", "16 shots‡")
    assert report.tables["per_dataset"][0].under[3] == "155 images, 5 of 10 classes gave fewer"
    (said,) = [note for note in report.leaderboard.notes if note.startswith("‡")]
    assert said == "‡ At 16 shots four has 155 images (5 of 10 classes gave fewer)."
    assert said in report.findings


def test_equal_draws_at_different_shots_are_marked() -> None:
    report = report_of(whole=True)
    assert report.leaderboard.head[1:4] == ("4 shots", "8 shots‡", "16 shots‡")
    under = report.tables["per_dataset"][0].under
    assert under[2] == "40 images, 10 of 10 classes gave fewer, the same images as at 4 shots"
    assert [s.partition(" lora")[0] for s in report.findings if "highest" in s] == ["At 4 shots"]
