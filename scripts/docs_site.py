"""The docs as a site: `python -m scripts.docs_site [--out site]`; any warning is an error.

The repository's Markdown files are laid out as they lie, with what they link to, and a page for
each module that people import, made from its docstrings.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import MkDocsException

ROOT = Path(__file__).parents[1]
FRONT = ("README.md", "CONTRIBUTING.md")
BACK = ("CHANGELOG.md", "SECURITY.md")
MODULES = (
    "harness.task",
    "harness.backbones.backbone",
    "harness.backbones.load",
    "harness.backbones.spec",
    "harness.protocols",
    "harness.registry",
    "harness.errors",
    "harness.seeds",
    "harness.datasets.dataset",
    "harness.datasets.load",
    "harness.datasets.spec",
    "harness.datasets.draws",
    "harness.plan.suite",
    "harness.plan.expand",
    "harness.plan.cell",
    "harness.run.measures",
    "harness.store.record",
    "harness.store.store",
    "harness.contract.run",
    "harness.reports.frame",
    "harness.reports.stats",
    "harness.reports.table",
)
FOLDER = re.compile(r"\]\((?!\w+:|#)([^)#\s]+/)\)")
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def assemble(folder: Path) -> list[object]:
    """Lay the pages out in `folder`; returns the navigation."""
    guide = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
    pages = {p: (ROOT / p).read_text(encoding="utf-8") for p in (*FRONT, *guide, *BACK)}
    for page, text in pages.items():
        for target in LINK.findall(text):
            _copy((ROOT / page).parent / target, folder)
    for page, text in pages.items():  # last, over what was copied because a page links to it
        (folder / page).parent.mkdir(exist_ok=True)
        (folder / page).write_text(FOLDER.sub(r"](\1index.md)", text), encoding="utf-8")
    files = sorted((ROOT / "methods").rglob("*.py"))
    methods = [f for f in files if f.name != "__init__.py"]
    names = [".".join(("harness", *f.relative_to(ROOT).with_suffix("").parts)) for f in methods]
    listed = [path for path in folder.rglob("index.md")]
    results = [{path.parent.name: path.relative_to(folder).as_posix()} for path in sorted(listed)]
    return [
        *FRONT,
        {"Guide": guide},
        {"API": _api(MODULES, folder)},
        {"Methods": _api(names, folder)},
        {"Reference runs": results},
        *BACK,
    ]


def _api(modules: Iterable[str], folder: Path) -> list[object]:
    """A page for each module, which mkdocstrings fills from its docstrings."""
    (folder / "api").mkdir(exist_ok=True)
    for module in modules:
        text = f"# {module}\n\n::: {module}\n"
        (folder / "api" / f"{module}.md").write_text(text, encoding="utf-8")
    return [{module: f"api/{module}.md"} for module in modules]


def _copy(source: Path, folder: Path) -> None:
    """A file to its place; a folder with a page that lists its files. What is absent stays so."""
    source = source.resolve()
    if not source.exists() or not source.is_relative_to(ROOT):
        return  # a dead link, which mkdocs reports with its page
    target = folder / source.relative_to(ROOT)
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        return
    shutil.copytree(source, target, dirs_exist_ok=True)
    lines = [f"- [{path.name}]({path.name})" for path in sorted(source.iterdir())]
    (target / "index.md").write_text("\n".join([f"# {source.name}", "", *lines, ""]), "utf-8")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "site", show_default="site")
def main(out: Path) -> None:
    """Build the site; exit status 1 where a page or docstring gives cause for a warning."""
    logging.basicConfig(level=logging.WARNING, format="docs: %(levelname)s: %(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch) / "pages"
        pages.mkdir()
        try:
            build(
                load_config(
                    str(ROOT / "mkdocs.yml"),
                    docs_dir=str(pages),
                    site_dir=str(out.resolve()),
                    nav=assemble(pages),
                )
            )
        except MkDocsException as error:
            sys.exit(f"docs: {error}")
    print(f"docs: {out / 'index.html'}")


if __name__ == "__main__":
    main()
