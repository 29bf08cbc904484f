"""Logging of the command line: the library's messages as plain lines on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TextIO


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at that moment, so that a replaced stream (a test's) is honoured."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current standard error."""
        return sys.stderr


def configure(level: int) -> None:
    """Show messages of `splade_engine` from `level` on; calling it again changes the level."""
    logger = logging.getLogger("splade_engine")
    logger.setLevel(level)
    if not any(isinstance(handler, StandardError) for handler in logger.handlers):
        handler = StandardError()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)


def shows_progress() -> bool:
    """On a terminal, unless `--quiet`: a log file is no place for a progress bar."""
    return sys.stderr.isatty() and logging.getLogger("splade_engine").getEffectiveLevel() <= logging.INFO
