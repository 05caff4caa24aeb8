"""Processes of this machine, as tests look at them (Linux)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def descendants(process: int) -> set[int]:
    """A process and all that it has started, and those have."""
    found, parents = {process}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def kill(process: int) -> None:
    """End a process and all that it has started, at once, as a power cut would."""
    for one in descendants(process):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def listening(of: set[int]) -> set[str]:
    """The addresses at which these processes listen."""
    sockets = set()
    for process in of:
        for open_file in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(os.readlink(open_file).removeprefix("socket:[").rstrip("]"))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                host = bytes.fromhex(fields[1].split(":")[0])
                found.add(".".join(map(str, host[-4:][::-1])))  # IPv4, or mapped into IPv6
    return found
