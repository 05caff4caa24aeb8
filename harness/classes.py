"""Class names and their prompts, and why a method cannot run: what tasks and backbones share.

A leaf: it imports nothing of the project. Methods find these names in `harness.task`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Classes:
    """Class names in label order and the prompt templates they are read under."""

    names: tuple[str, ...]
    templates: tuple[str, ...] = ("a photo of a {}.",)

    def __len__(self) -> int:
        return len(self.names)


class FeaturesOnlyError(RuntimeError):
    """A method asked for pixels or an encoder where only pre-computed features exist."""


class NotApplicable(Exception):
    """A method cannot run on this backbone or data set, for the stated reason: a skipped cell."""
