"""The command line in a test: in this process, or in one of its own."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from harness.cli import main


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def harness(*words: str | Path) -> Done:
    """`harness …`, in this process: loading PyTorch anew for every command takes minutes in all."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["harness", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
        status = 0
    except SystemExit as left:
        status = int(left.code or 0)
    finally:
        sys.argv = before
    return Done(status, out.getvalue(), err.getvalue())


def command(*words: str | Path) -> list[str]:
    """The command of `harness …` in a process of its own."""
    return [sys.executable, "-m", "harness.cli", *map(str, words)]


def in_a_process(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=300)
