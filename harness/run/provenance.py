"""Where a number comes from: code, versions and hardware. Collected once per worker."""

from __future__ import annotations

import functools
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.features.threads import cores

PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "scikit-learn", "ray")

CODE = ("harness", "methods", "reports")
"""The folders, side by side, whose untracked files can change a number."""


@functools.cache
def provenance() -> dict[str, Any]:
    """Commit and dirty flag of this checkout, package versions, machine."""
    import harness

    return {
        "harness": harness.__version__,
        **_git(Path(harness.__file__).parent),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": _machine(),
    }


def stamped() -> dict[str, Any]:
    """The same, and the time: of a cell that has just finished."""
    return {**provenance(), "finished": datetime.now(UTC).isoformat(timespec="seconds")}


def _git(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the checkout that `folder`, the package, is tracked in.

    Both are None where there is none: a package installed below somebody else's repository, in a
    virtual environment say, is not that repository's code. Dirty are changes to tracked files, and
    files among the code that are not tracked.
    """

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = None
    if git("ls-files", "--error-unmatch", "__init__.py") is not None:
        commit = git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    changed = git("status", "--porcelain", "--untracked-files=no")
    code = [f"../{name}" for name in CODE]
    added = git("ls-files", "--others", "--exclude-standard", "--", *code)
    known = changed is not None and added is not None
    return {"commit": commit, "dirty": bool(changed or added) if known else None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": cores(),
        "gpus": gpus,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
