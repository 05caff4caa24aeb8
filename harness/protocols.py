"""Label access: which labels a protocol lets a method see, and what its rows may stand beside.

A leaf: plan, run and reports ask these objects and never compare a protocol's name. A new protocol
is one more object in `PROTOCOLS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Seen = Literal["none", "few_shot", "whole"]
"""How much of the val split a method may read."""


@dataclass(frozen=True)
class LabelAccess:
    """What a protocol grants beside the support set, and what follows for the rows of a report."""

    name: str
    val: Seen = "none"
    """`few_shot`: min(K, 4) images per class; `whole`: the split, many more labels than shots."""
    search_on: Literal["val", "test"] | None = None
    """Which accuracy chooses the hyper-parameters; None where the suite's configuration stands."""
    note: str = ""
    """Stands beside the row's name wherever it appears."""
    footnote: str = ""
    """What a table says below about such rows."""

    @property
    def searches(self) -> bool:
        """Whether hyper-parameters are chosen at all."""
        return self.search_on is not None

    @property
    def sees_val(self) -> bool:
        """Whether a method gets validation images."""
        return self.val != "none"

    @property
    def ranked(self) -> bool:
        """Whether its rows may be ranked: never where test labels chose the configuration."""
        return self.search_on != "test"

    @property
    def beyond_shots(self) -> bool:
        """Whether labels beyond the shots were seen: marked, and never ranked beside rows that had
        fewer."""
        return self.val == "whole"


FIXED = LabelAccess("fixed")
"""The configuration of the suite; a method sees the support set only."""

VAL_SEARCH = LabelAccess("val_search", val="few_shot", search_on="val")
"""Chosen by accuracy on the few-shot validation set, min(K, 4) images per class."""

VAL_FULL = LabelAccess(
    "val_full",
    val="whole",
    search_on="val",
    note="whole val split",
    footnote="[val_full]: hyper-parameters chosen on the whole validation split, which has more "
    "labels than the shots; listed apart and not ranked beside rows that had fewer.",
)
"""The same on the whole validation split (in a suite: `val_search` with `val: full`), as much
released code does."""

ORACLE = LabelAccess(
    "oracle",
    search_on="test",
    note="oracle, not ranked",
    footnote="oracle: hyper-parameters chosen on the test set; listed apart, never ranked.",
)
"""Chosen by accuracy on the *test* set: an upper bound. It exists to show what published numbers
gain by it."""

PROTOCOLS = {access.name: access for access in (FIXED, VAL_SEARCH, VAL_FULL, ORACLE)}


def access_of(protocol: str, whole_val: bool = False) -> LabelAccess:
    """The access that a suite's `protocol` grants, where `val: full` asks for the whole split."""
    found = PROTOCOLS[protocol]
    return VAL_FULL if whole_val and found.sees_val else found
