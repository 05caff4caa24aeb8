"""However a command is ended: one line, its status, nothing lost; any encoding of its output."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import command
from small_suite import SMALL

from harness.store.store import Store

MANY = SMALL.replace("seeds: [1]", f"seeds: {list(range(60))}")
ONE = SMALL.replace("[digits, georgian]", "[digits]").replace("shots: [1, 2]", "shots: [1]")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "many.yaml"
    path.write_text(MANY)
    return path


def started(suite: Path, results: Path, executor: str, **more: object) -> subprocess.Popen[bytes]:
    """A run that has finished three cells of many."""
    process = subprocess.Popen(  # type: ignore[call-overload]
        command("run", suite, "--results", results, "--executor", executor),
        stderr=subprocess.PIPE,
        # A job in the background, or under nohup, has signals ignored and hands that on.
        preexec_fn=lambda: [
            signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGHUP)
        ],
        start_new_session=True,
        **{"stdout": subprocess.PIPE, **more},
    )
    cells, deadline = results / "cells", time.monotonic() + 180
    while len(list(cells.glob("[!.]*.json"))) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    return process  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("executor", "sent"),
    [("serial", signal.SIGINT), ("serial", signal.SIGTERM), ("ray", signal.SIGHUP)],
)
def test_a_signal_ends_a_run_in_one_line(
    executor: str, sent: signal.Signals, suite: Path, tmp_path: Path
) -> None:
    process = started(suite, tmp_path / "r", executor)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 128 + sent, errors
    (line,) = errors.decode().splitlines()
    assert line.endswith("what was finished is kept, run the same command to go on")
    kept = Store(tmp_path / "r").all()
    assert len(kept.records) >= 3 and not kept.corrupt and not kept.failures
    assert not list((tmp_path / "r" / "cells").glob(".*")), "no part of a file is left"


def test_a_signal_to_the_whole_group_ends_it_alike(suite: Path, tmp_path: Path) -> None:
    """As batch schedulers and closing terminals send it: to Ray's own processes as well."""
    process = started(suite, tmp_path / "r", "ray")
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert len(errors.splitlines()) == 1, errors
    kept = Store(tmp_path / "r").all()
    assert len(kept.records) >= 3 and not kept.failures and not kept.corrupt


def test_what_nohup_ignores_stays_ignored(suite: Path, tmp_path: Path) -> None:
    suite.write_text(ONE)
    process = subprocess.Popen(
        ["nohup", *command("run", suite, "--results", tmp_path / "r", "--executor", "serial")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "r" / "cells").is_dir() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("words", [("list", "datasets"), ("plan", "SUITE")])
def test_a_reader_that_leaves_ends_it_quietly(words: tuple[str, ...], suite: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    given = [str(suite) if word == "SUITE" else word for word in words]
    ended = subprocess.run(command(*given), stdout=writing, stderr=subprocess.PIPE, timeout=90)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_reader_that_leaves_a_run_loses_nothing(suite: Path, tmp_path: Path) -> None:
    suite.write_text(ONE)
    reading, writing = os.pipe()
    process = subprocess.Popen(
        command("run", suite, "--results", tmp_path / "r", "--executor", "serial"),
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (128 + signal.SIGPIPE, b"")
    kept = Store(tmp_path / "r").all()
    assert kept.records and not kept.failures and not kept.corrupt


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_of_any_encoding_takes_everything(
    encoding: str, suite: Path, tmp_path: Path
) -> None:
    """The minus sign of a loss is not lost with it."""
    suite.write_text(ONE.replace("- zero_shot", "- {name: zero_shot, label: Ω−1 ± ½}"))
    shown = subprocess.run(
        command("plan", suite),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=120,
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
    text = shown.stdout.decode(encoding)
    assert "?-1" in text and ("½" if encoding != "ascii" else "+- ?") in text


def test_data_is_utf_8_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text('{"train": [["a.jpg", 0, "Ω"]], "val": [], "test": []}', encoding="utf-8")
    drawn = subprocess.run(
        command("draw", path, "--shots", "1", "--seed", "1"),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=120,
    )
    assert "Ω" in drawn.stdout.decode("utf-8")
