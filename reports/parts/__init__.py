"""What a report shows, in the order of its page."""

from __future__ import annotations

from harness.reports.part import Part
from harness.reports.parts.base_to_new import BaseToNew
from harness.reports.parts.chosen import Chosen
from harness.reports.parts.cost import Cost
from harness.reports.parts.cost_plot import CostPlot
from harness.reports.parts.curves import Curves
from harness.reports.parts.draws import Draws
from harness.reports.parts.forgetting import Forgetting
from harness.reports.parts.leaderboard import Leaderboard
from harness.reports.parts.methods import Methods
from harness.reports.parts.paired import Paired
from harness.reports.parts.per_dataset import PerDataset
from harness.reports.parts.provenance import Provenance
from harness.reports.parts.published import Published
from harness.reports.parts.search import Search
from harness.reports.parts.trace import Trace
from harness.reports.parts.tradeoff import Tradeoff
from harness.reports.parts.transfer import Transfer
from harness.reports.parts.undone import Undone

RESULTS: tuple[Part, ...] = (
    Leaderboard(),
    Curves(),
    PerDataset(),
    BaseToNew(),
    Transfer(),
    Tradeoff(),
    Forgetting(),
    Paired(),
    Search(),
    Trace(),
    Chosen(),
    CostPlot(),
    Cost(),
)
"""What was found. The parts that a suite names come after these."""

ORIGIN: tuple[Part, ...] = (Published(), Undone(), Methods(), Provenance(), Draws())
"""What it is compared with and where it comes from."""
