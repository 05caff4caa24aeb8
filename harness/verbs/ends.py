"""How a command ends: told to by a signal, or because nobody reads on. Never with a traceback."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

INTERRUPTED = "interrupted; what was finished is kept, run the same command to go on"
PLAIN = {"−": "-", "–": "-", "—": "-", "×": "x", "±": "+-", "…": "...", "→": "->", "≤": "<="}
PLAIN |= {"≥": ">=", "’": "'", "“": '"', "”": '"', "•": "*", "●": "*", "·": ".", "τ": "tau"}
"""What stands for a sign that the output's encoding does not have; `?` for any other."""


class Ended(Exception):
    """The command was told to end, and does with this exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(INTERRUPTED)
        self.status = status


class Verbs(click.Group):
    """A group of commands that end as `Ended` on Ctrl-C, SIGTERM and SIGHUP, with the status 128
    plus the signal's number; and quietly where the reader has gone, as in `… | head -1`."""

    def invoke(self, ctx: click.Context) -> Any:
        with Signals() as signals:
            try:
                return super().invoke(ctx)
            except BaseException as error:
                if signals.received:  # a terminal that has gone makes other errors meanwhile
                    raise Ended(128 + signals.received) from error
                if isinstance(error, KeyboardInterrupt):
                    raise Ended(128 + signal.SIGINT) from error
                if _reader_gone(error):
                    _drop_output()
                    sys.exit(128 + signal.SIGPIPE)
                raise


class Signals:
    """`with Signals() as signals:` lets SIGTERM and SIGHUP interrupt its block as Ctrl-C does.

    All three raise KeyboardInterrupt, which is what waiting code lets through; `received` is the
    number of the first. A signal that the caller ignores, as `nohup` does, stays ignored.
    """

    received: int = 0

    def __enter__(self) -> Signals:
        every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {s: h for s in every if (h := signal.getsignal(s)) != signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        again, self.received = bool(self.received), self.received or number
        if not again or number == signal.SIGINT:  # who insists must not disturb the end
            raise KeyboardInterrupt

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def print_anything() -> None:
    """Let standard output and error take any text, whatever their encoding (see `PLAIN`)."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def print_data(text: str) -> None:
    """Write `text` to standard output in UTF-8, as files of data are, whatever its encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(text)
    sys.stdout.flush()


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in signs), error.end


def _reader_gone(error: BaseException) -> bool:
    """Python's error, or what rich makes of it."""
    left = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(left, BrokenPipeError)


def _drop_output() -> None:
    """Nothing more can be written, not even what is flushed as the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            os.dup2(nowhere, stream.fileno())
