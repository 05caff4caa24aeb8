"""Class names and their prompts, and why a method cannot run: what tasks and backbones share.

A leaf: it imports nothing of the project. Methods find these names in `harness.task`.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter


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


def check_template(template: str) -> None:
    """Refuse a prompt template in which a class name has not exactly one place, `{}`.

    Raises:
        ValueError: quotes the template and says what is wrong with it.
    """
    try:
        slots = [(name, spec, how) for _, name, spec, how in Formatter().parse(template)]
    except ValueError:
        raise ValueError(
            f'template "{template}": a lone brace; write {{{{ or }}}} where one is meant'
        ) from None
    found = [slot for slot in slots if slot[0] is not None]
    for name, spec, how in found:
        if name or spec or how:
            raise ValueError(
                f'template "{template}": only a bare "{{}}" is filled in, with the class name '
                f'(found "{{{name}}}")'
            )
    if len(found) != 1:
        raise ValueError(
            f'template "{template}": needs exactly one "{{}}" for the class name, has {len(found)}'
        )


def check_templates(templates: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """`templates` as they are, each of them checked; None stands for a data set's own.

    Raises:
        ValueError: as `check_template`; or there is none in the list.
    """
    if templates == ():
        raise ValueError("give at least one template, or leave the key out")
    for template in templates or ():
        check_template(template)
    return templates
