"""`harness test`: the contract suite on one method."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness import registry
from harness.plan.methods import find_method

MARKS = {"passed": "[green]ok  [/green]", "failed": "[red]FAIL[/red]", "skipped": "[dim]skip[/dim]"}


def test_method(plugin: str, backbone: str) -> int:
    """Print one line per check; 1 where one failed."""
    from rich.markup import escape

    from harness.backbones import load_backbone
    from harness.contract import run_contract

    method = find_method(registry.absolute(plugin, Path.cwd()))
    checks = run_contract(method, load_backbone(backbone, "cpu"))
    console = Console(soft_wrap=True, highlight=False)
    for check in checks:
        message = f": {check.message}" if check.message else ""
        console.print(f"{MARKS[check.status]} {check.name}{escape(message)}")
    failed = sum(check.status == "failed" for check in checks)
    passed = sum(check.status == "passed" for check in checks)
    console.print(
        f"{plugin}: {passed} passed, {failed} failed, {len(checks) - passed - failed} skipped"
    )
    return 1 if failed else 0
