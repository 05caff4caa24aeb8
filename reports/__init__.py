"""Reports: from records alone to tables, plots and one page. No model is known here."""

from reports.export import Report, assemble, build, leaderboard_text, write
from reports.frame import PlannedCell

__all__ = ["PlannedCell", "Report", "assemble", "build", "leaderboard_text", "write"]
