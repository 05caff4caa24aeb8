"""The command line: verbs only. Nothing heavy is imported until a verb runs.

Exit status: 0 all well; 1 failed cells remain (or a check did not pass); 2 bad input or usage;
130 interrupted, 143 and 129 ended by SIGTERM or SIGHUP; 141 the reader of a pipe has gone.
"""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.errors import HarnessError, RunStopped, full_disk
from harness.verbs.ends import INTERRUPTED, Ended, Verbs, print_anything


def _found(context: click.Context, parameter: click.Parameter, word: str) -> Path:
    """The file of a suite given by its path, or by its name where it ships with the package."""
    from harness.plan.find_suite import find_suite

    return find_suite(word)


SUITE = click.argument("suite", callback=_found)
RESULTS = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of the result store.",
)
ONLY = click.option(
    "--only",
    multiple=True,
    metavar="KEY=VALUE",
    help="Restrict to cells by label, method, dataset, shots or seed; commas for several.",
)
KINDS = ["methods", "samplers", "measures", "datasets", "backbones", "suites"]
ROOM = "; what was finished is kept: make room and run the same command to go on"


class Finite(click.FloatRange):
    """A number in a range, and none that lies beyond all of them."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number above {self.min}", param, ctx)
        return number


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="harness")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Compare parameter-efficient fine-tuning methods of CLIP-like models: accuracy, and what it
    costs in forgetting."""


@cli.command()
@SUITE
@RESULTS
@click.option("--executor", type=click.Choice(["ray", "serial"]), default="ray", show_default=True)
@click.option(
    "--workers", type=click.IntRange(1), help="Cells at a time.  [default: cores/threads]"
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="CPU threads of each worker; equal counts give equal bits.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("--search", type=click.Choice(["serial", "tune"]), default="serial",
              show_default=True, help="How val_search tries candidates.")  # fmt: skip
@click.option("--address", help="Join the Ray cluster at this address instead of a local one.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Report folder.")
@ONLY
def run(**options: Any) -> None:
    """Run what is not done of SUITE, then report. Running again resumes."""
    from harness.verbs.run import run_suite

    sys.exit(run_suite(**options))


@cli.command()
@SUITE
@RESULTS
@click.option("--workers", type=click.IntRange(1), help="For the time estimate.")
@click.option(
    "--tflops",
    type=Finite(0, min_open=True),
    metavar="T",
    help="Count GPU hours for a GPU that sustains so many 10¹² operations per second.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per cell, as a list.")
@ONLY
def plan(**options: Any) -> None:
    """Show SUITE's cells: done, stale, failed, new; and the estimated time."""
    from harness.verbs.show import show_plan

    sys.exit(show_plan(**options))


@cli.command()
@SUITE
@RESULTS
@ONLY
def status(**options: Any) -> None:
    """Say how far SUITE is, and why cells failed."""
    from harness.verbs.show import show_status

    sys.exit(show_status(**options))


@cli.command()
@SUITE
@RESULTS
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Report folder.")
@ONLY
def report(**options: Any) -> None:
    """Write tables, plots and the page from what the store holds of SUITE."""
    from harness.verbs.report import report_suite

    sys.exit(report_suite(**options))


@cli.command()
@SUITE
@RESULTS
@click.option(
    "--measure",
    multiple=True,
    metavar="NAME|file.py:fn",
    help="A measure to compute, once or more.  [default: those of every record]",
)
@click.option("--images", is_flag=True, help="Also write a row per image and a row per class.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@ONLY
def score(**options: Any) -> None:
    """Compute measures of SUITE's cells from kept logits (`keep_logits: true`); nothing is run.

    What the records say is verified on the way."""
    from harness.verbs.score import score_suite

    sys.exit(score_suite(**options))


@cli.command()
@click.argument("source", metavar="STORE", type=click.Path(path_type=Path))
@RESULTS
def merge(**options: Any) -> None:
    """Copy the finished cells of STORE, another result store, into this one; refused where one
    cell has other numbers there than here."""
    from harness.verbs.merge import merge_stores

    sys.exit(merge_stores(**options))


@cli.command("list")
@click.argument("what", type=click.Choice(KINDS))
def list_(what: str) -> None:
    """List what is known of one kind."""
    from harness.verbs.list import show_list

    sys.exit(show_list(what))


@cli.command()
def schema() -> None:
    """Print the JSON schema of suite files, for editors; it knows the methods installed here."""
    from harness.verbs.show import show_schema

    sys.exit(show_schema())


@cli.command()
@click.argument("plugin", metavar="path/to/file.py:Class")
@click.option("--backbone", default="glyphs", show_default=True, help="Backbone to test on.")
def test(plugin: str, backbone: str) -> None:
    """Run the contract suite on a method: a file and class, or a registered name."""
    from harness.verbs.test import test_method

    sys.exit(test_method(plugin, backbone))


@cli.command()
@click.argument("source", metavar="SPLIT.json | SUITE", callback=_found)
@click.option("--shots", type=click.IntRange(1), help="Of a split file: images per class, K.")
@click.option("--seed", type=click.IntRange(0), help="Of a split file.")
@click.option("--sampler", help="Of a split file: see list samplers.  [default: coop]")
@click.option("--cell", metavar="ID", help="Of a suite: a cell's id, or its first digits.")
@click.option(
    "--form",
    type=click.Choice(["lines", "json"]),
    help="JSON Lines, or one object as published draws are.  [default: lines]",
)
@ONLY
def draw(**options: Any) -> None:
    """Print a few-shot draw in drawing order: that of a CoOp split file, or of one of a suite's
    cells; or a file that holds a draw in the other --form. `sampler: file:PATH` reads both."""
    from harness.verbs.draw import print_draw

    sys.exit(print_draw(**options))


@cli.group()
def data() -> None:
    """The field's data sets on this machine: check what is there, fetch what may be fetched."""


@data.command("check")
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--decode", is_flag=True, help="Decode every image and name the corrupt ones.")
@click.option("--near", type=click.FloatRange(0, 1), metavar="COSINE",
              help="Of features: count test rows this near to a training row.")  # fmt: skip
def data_check(**options: Any) -> None:
    """Count images below ROOT against the known sizes; name what is missing. ROOT may also be a
    data set of one's own: class folders, a split file, a file of features."""
    from harness.verbs.data import check_data

    sys.exit(check_data(**options))


@data.command("split")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(0), required=True)
@click.option("--test", type=float, default=0.3, show_default=True, help="Part of each class.")
@click.option("--val", type=float, default=0.2, show_default=True, help="Part of each class.")
def data_split(**options: Any) -> None:
    """Print the split of ROOT/<class>/ that `split: {seed: …}` makes, as a split.json."""
    from harness.verbs.data import print_split

    sys.exit(print_split(**options))


@data.command("fetch")
@click.argument("name")
@click.option("--root", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
def data_fetch(**options: Any) -> None:
    """Download the images of NAME below the root folder; resumes, and checks the checksum."""
    from harness.verbs.data import fetch_data

    sys.exit(fetch_data(**options))


def main() -> None:
    """Entry point: turns errors into one message and an exit status."""
    debug = "--debug" in sys.argv
    print_anything()
    try:
        cli.main(standalone_mode=False)
    except HarnessError as error:
        _leave(str(error), 2, debug)
    except Ended as error:
        _leave(str(error), error.status, debug)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _leave(INTERRUPTED, 130, debug)
    except RunStopped as error:
        _leave(str(error), 1, debug)
    except OSError as error:
        what = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
        _leave(f"{what}{ROOM if full_disk(error) else ''}", 1, debug)


def _leave(message: str, status: int, debug: bool) -> None:
    """One message on standard error, the exit status, and the traceback only on request."""
    if debug:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(OSError):  # a terminal that has gone
        click.echo(f"harness: {message}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
