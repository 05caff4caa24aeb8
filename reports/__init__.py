"""Reports: from records alone to tables, plots and one page. No model is known here."""

from harness.reports.content import Content, gather, leaderboard_text
from harness.reports.export import Report, assemble, build, write
from harness.reports.frame import PlannedCell
from harness.reports.published import Published, load_published

__all__ = [
    "Content",
    "PlannedCell",
    "Published",
    "Report",
    "assemble",
    "build",
    "gather",
    "leaderboard_text",
    "load_published",
    "write",
]
