"""Reports: from records alone to tables, plots and one page. No model is known here."""

from reports.content import Content, gather, leaderboard_text
from reports.export import Report, assemble, build, write
from reports.frame import PlannedCell

__all__ = [
    "Content",
    "PlannedCell",
    "Report",
    "assemble",
    "build",
    "gather",
    "leaderboard_text",
    "write",
]
