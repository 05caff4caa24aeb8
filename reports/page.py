"""`index.html`: one self-contained page, no script, nothing fetched, everything escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from harness.reports.style import INK
from harness.reports.table import Table


@dataclass(frozen=True)
class Drawn:
    """A drawn plot: its SVG document, what it shows (read aloud too), and how to read it."""

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Block:
    """What one part shows; its `name` is its place on the page."""

    name: str
    plots: Sequence[Drawn] = ()
    tables: Sequence[Table] = ()
    folded: bool = False
    side_by_side: bool = False
    words: bool = False


@dataclass(frozen=True)
class Section:
    """One heading of the page, and the blocks under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    title: str
    description: str
    summary: str
    findings: Sequence[str]
    warnings: Sequence[str]
    sections: Sequence[Section]
    caveats: Sequence[str]


def render(page: Page) -> str:
    """The page as one HTML document."""
    return _template().render(page=page, css=_css(), inline=inline)


def inline(plot: Drawn) -> Markup:
    """The plot's SVG as an element of the page: named for screen readers, in the page's colour."""
    body = plot.svg[plot.svg.index("<svg") :].replace(INK, "currentColor")
    label = Markup.escape(f"{plot.title}. {plot.caption}")
    width = re.search(r'viewBox="0 0 ([\d.]+)', body)
    limit = f"max-width: {float(width[1]) / 12:.1f}rem" if width else ""
    start = f'<svg role="img" aria-label="{label}" class="plot" style="{limit}" '
    body = body.replace("<svg ", start, 1)
    return Markup(body)  # matplotlib escapes the text it draws; the label is escaped above


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource("page.html.j2"))


@cache
def _css() -> Markup:
    return Markup(_resource("page.css"))


def _resource(name: str) -> str:
    return resources.files("harness.reports").joinpath(name).read_text(encoding="utf-8")
