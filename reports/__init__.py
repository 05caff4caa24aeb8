"""Reports: from records alone to tables, plots and one page. No model is known here.

frame → statistics → parts (one file a table or plot) → page and files.
"""

from harness.reports.content import Content, gather, leaderboard_text, table_files
from harness.reports.export import Report, assemble, build, write
from harness.reports.frame import PlannedCell
from harness.reports.part import Part, Plot, find_part
from harness.reports.published import Published, load_published
from harness.reports.study import Study
from harness.reports.table import Entry, Line, Table

__all__ = [
    "Content",
    "Entry",
    "Line",
    "Part",
    "PlannedCell",
    "Plot",
    "Published",
    "Report",
    "Study",
    "Table",
    "assemble",
    "build",
    "find_part",
    "gather",
    "leaderboard_text",
    "load_published",
    "table_files",
    "write",
]
