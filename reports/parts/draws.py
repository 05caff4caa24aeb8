"""The few-shot draws behind the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table

_COLUMNS = ["dataset", "shots", "seed", "sampler", "draw_id", "val_draw_id", "draw_images"]
_COLUMNS += ["draw_classes", "draw_classes_short", "val_images"]


class Draws(Part):
    """Every draw, identified by its content."""

    name, title = "draws", "Provenance"
    folded = True

    def tables(self, study: Study) -> Sequence[Table]:
        frame = study.frame
        few = frame[(frame["status"] == "ok") & (frame["shots"] > 0) & (frame["draw_id"] != "")]
        few = few.drop_duplicates(["dataset", "shots", "seed", "draw_id", "val_draw_id"])
        data = few[_COLUMNS]
        lines = []
        for dataset, shots, seed, sampler, draw, val, images, classes, short, among in zip(
            *(data[name].tolist() for name in _COLUMNS), strict=True
        ):
            chosen = f"{among} ({val[:12]})" if val else "none"
            gave = f"{short} of {classes}" if short else "none"
            texts = (str(shots), str(seed), sampler, draw[:12], str(images), gave, chosen)
            lines.append(Line(str(dataset), tuple(map(Entry, texts))))
        head = ("Data set", "shots", "seed", "sampler", "draw", "images", "classes that gave fewer")
        caption = "Few-shot draws, identified by their content"
        return [Table(self.name, caption, (*head, "val images"), tuple(lines), data)]
