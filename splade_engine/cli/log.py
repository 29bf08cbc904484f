"""Logging of the command line: the library's messages as plain lines on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

from splade_engine.cli import output
from splade_engine.plain_text import without_controls


class OneLine(logging.Formatter):
    """A message as one line that is safe on a terminal: it may quote names and texts from outside."""

    def format(self, record: logging.LogRecord) -> str:
        """The message; what led to it is shown by `--verbose` alone."""
        text = output.message(record.getMessage())
        if record.exc_info and logging.getLogger("splade_engine").isEnabledFor(logging.DEBUG):
            text += "\n" + without_controls(self.formatException(record.exc_info))
        return text


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at that moment, so that a replaced stream (a test's) is honoured."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current standard error."""
        return sys.stderr


def configure(level: int, progress: bool | None = None) -> None:
    """Show messages of `splade_engine` from `level` on, and progress bars; calling it again changes both.

    Args:
        level: of the `logging` module.
        progress: whether bars are shown; None: on a terminal, and a line a minute elsewhere, unless only
            errors are shown.
    """
    global _progress
    _progress = progress
    logger = logging.getLogger("splade_engine")
    logger.setLevel(level)
    if not any(isinstance(handler, StandardError) for handler in logger.handlers):
        handler = StandardError()
        handler.setFormatter(OneLine())
        logger.addHandler(handler)


def set_level(level: int) -> None:
    """Show messages from another level on."""
    configure(level, _progress)


_progress: bool | None = None


def shows_progress() -> bool | Literal["lines"]:
    """As asked; else bars on a terminal and a line a minute elsewhere, and nothing with `--quiet`."""
    if _progress is not None:
        return _progress
    if not output.is_talkative():
        return False
    return True if sys.stderr.isatty() else "lines"
