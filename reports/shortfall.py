"""What was drawn: where a number of shots does not say how many images there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

MARK = "‡"


@dataclass(frozen=True)
class Lot:
    """What one data set gave at one number of shots."""

    images: str
    """How many images a draw has; a span where draws differ."""
    classes: int
    short: int
    """Classes that gave fewer images than the shots."""
    same_as: int | None
    """A smaller number of shots that drew the same images, if there is one."""

    @property
    def says(self) -> str:
        """What keeps it from being what the shots say; "" where nothing does."""
        short = f"{self.short} of {self.classes} classes gave fewer" if self.short else ""
        same = f"the same images as at {shots_name(self.same_as)}" if self.same_as else ""
        return ", ".join(filter(None, [short, same]))


@dataclass(frozen=True)
class Drawn:
    """By data set and shots, what was drawn."""

    lots: Mapping[tuple[str, int], Lot]

    def name(self, shots: int) -> str:
        """ "8 shots", marked where that is not what a data set gave."""
        return shots_name(shots) + (MARK if self.note(shots) else "")

    def under(self, dataset: str, shots: int) -> str:
        """What stands below the heading of a data set's column: its images, and what is amiss."""
        lot = self.lots.get((dataset, shots))
        return ", ".join(filter(None, [f"{lot.images} images", lot.says])) if lot else ""

    def note(self, shots: int) -> str:
        """A sentence on the data sets that gave less than the shots say; "" where none did."""
        parts = [
            f"{dataset} has {lot.images} images ({lot.says})"
            for (dataset, k), lot in self.lots.items()
            if k == shots and lot.says
        ]
        return f"{MARK} At {shots_name(shots)} {'; '.join(parts)}." if parts else ""

    def repeats(self, shots: int) -> bool:
        """Whether every data set drew the same images at fewer shots already."""
        here = [lot for (_, k), lot in self.lots.items() if k == shots]
        return bool(here) and all(lot.same_as for lot in here)

    @property
    def notes(self) -> tuple[str, ...]:
        """Every such sentence, by shots."""
        return tuple(filter(None, map(self.note, sorted({k for _, k in self.lots}))))


def shots_name(k: int) -> str:
    """ "1 shot", "4 shots"."""
    return f"{k} shot" if k == 1 else f"{k} shots"


def drawn(frame: pd.DataFrame) -> Drawn:
    """Counted from the draws of finished cells."""
    few = frame[(frame["status"] == "ok") & (frame["shots"] > 0) & (frame["draw_id"] != "")]
    few = few.drop_duplicates(["dataset", "shots", "draw_id"])
    lots: dict[tuple[str, int], Lot] = {}
    seen: dict[tuple[str, frozenset[str]], int] = {}
    for key, draws in few.groupby(["dataset", "shots"]):
        dataset, shots = _key(key)
        low, high = int(draws["draw_images"].min()), int(draws["draw_images"].max())
        same = seen.setdefault((dataset, frozenset(draws["draw_id"])), shots)
        lots[dataset, shots] = Lot(
            images=f"{low:,}" if low == high else f"{low:,} to {high:,}",
            classes=int(draws["draw_classes"].max()),
            short=int(draws["draw_classes_short"].max()),
            same_as=same if same != shots else None,
        )
    return Drawn(lots)


def _key(key: Any) -> tuple[str, int]:
    return str(key[0]), int(key[1])
