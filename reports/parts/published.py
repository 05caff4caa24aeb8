"""Published numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.parity import compare, parity_table
from harness.reports.part import Part
from harness.reports.study import Study
from harness.reports.table import Table


class Published(Part):
    """Reproduced, differs, or not comparable and why; none where no published number fits."""

    name, title = "published", "Published numbers"
    words = True

    def tables(self, study: Study) -> Sequence[Table]:
        found = compare(study.published, study.grid, study.records)
        return [parity_table(found)] if found else ()
