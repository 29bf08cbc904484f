"""The server's log: one JSON object or one plain line per event, on standard error.

Queries and documents are never logged: who asked what is nobody's business.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from splade_engine.plain_text import without_controls

REQUESTS = logging.getLogger("splade_engine.server.requests")
FIELDS = "fields"  # attribute of a record: what a request was, as a dictionary
Style = Literal["json", "text"]
# the least level of what is logged: of the server, and of its libraries
_LEAST = {"splade_engine": logging.NOTSET, "uvicorn": logging.WARNING, "mcp": logging.WARNING}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # ASCII: what standard error cannot write would become an escape that JSON does not have
        return json.dumps(line, default=str)


class PlainLines(logging.Formatter):
    """For a person at a terminal; what comes from outside neither steers it nor makes lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        clock = _time(record)[11:19]
        f: dict[str, Any] = getattr(record, FIELDS, {})
        if f:
            told = f"{f['status']}  {f['milliseconds']:8.1f} ms  {f['method']:<6} {f['path']}"
        else:
            told = record.getMessage()
        text = f"{clock}  {told}".replace("\n", " ")
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        return without_controls(text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def configure(style: Style, level: int = logging.INFO) -> None:
    """Write everything of the server, and of its libraries from warnings on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else PlainLines())
    for name, least in _LEAST.items():
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(max(level, least))
        logger.propagate = False
    root = logging.getLogger()
    if not root.handlers:  # the package `mcp` would add one, whose lines are drawn for a terminal
        root.addHandler(handler)


@contextmanager
def configured(style: Style, level: int = logging.INFO) -> Generator[None]:
    """As `configure`, until the end: whoever called goes on logging as before, to streams of its own."""
    loggers = [logging.getLogger(name) for name in (*_LEAST, None)]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    configure(style, level)
    try:
        yield
    finally:
        for logger, handlers, least, propagate in before:
            logger.handlers[:] = handlers
            logger.setLevel(least)
            logger.propagate = propagate
