"""How long a report of 10,000 records takes: `python -m pytest benchmarks/bench_report.py`.

The promise is 10 seconds of processor time, so that a busy machine does not change the verdict.
"""

import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reports"))

from synthetic import grid, records

from harness.reports import Report, assemble, gather


@pytest.mark.benchmark(timer=time.process_time)
def test_report_of_ten_thousand_records(benchmark: BenchmarkFixture) -> None:
    methods = [f"method_{i}" for i in range(12)]
    datasets = [f"data_set_{i}" for i in range(11)]
    cells = grid(methods, datasets, shots=[1, 2, 4, 8, 16], seeds=range(1, 17))
    assert len(cells) > 10_000
    found = records(cells)

    def whole() -> Report:
        return assemble(gather(cells, found), "Ten thousand")

    report = benchmark.pedantic(whole, rounds=1)
    assert report.counts["ok"] == len(cells)
    assert benchmark.stats["max"] < 10
