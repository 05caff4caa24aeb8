"""Nobody's code is run because a model's files ask for it."""

from __future__ import annotations

from typing import Any

from harness.backbones.spec import BackboneError

ASKS = "trust_remote_code"
"""transformers' switch: it imports Python files from the repository of a tokenizer or model."""


def refuse_remote_code(config: Any, name: str) -> None:
    """Looks for `trust_remote_code` anywhere in a model's configuration.

    Raises:
        BackboneError: it is there and switched on, whatever it is meant for.
    """
    if isinstance(config, dict):
        if config.get(ASKS):
            raise BackboneError(
                f"{name}: its configuration asks for {ASKS}: {config[ASKS]!r}, which would run "
                "Python files that come with the model; read them, and give a function of your own "
                "as the backbone instead (CONTRIBUTING.md, Add a backbone)"
            )
        config = list(config.values())
    for part in config if isinstance(config, list | tuple) else ():
        refuse_remote_code(part, name)
