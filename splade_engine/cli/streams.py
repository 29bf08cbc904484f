"""Standard input, output and error, as commands can rely on them."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

# whether standard output was open when the process was started
has_output = True


class _Unfailing(io.FileIO):
    """A file that takes whatever is written, and forgets what the system refuses."""

    def write(self, data: Any) -> int:
        """Write, or say that it was written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Make the three streams fit to use, whoever started the process.

    A stream that was closed (`>&-`) is opened on the null device: otherwise the next file that is opened
    would take its number, and what is meant for the terminal would be written into it. Characters that the
    terminal's encoding lacks are replaced. What standard error does not take (a full disk, a reader that has
    gone) is dropped: a result that stands on standard output is whole without it.
    """
    global has_output
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            has_output = has_output and number != 1
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr.fileno() == 2:
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        unfailing = io.BufferedWriter(_Unfailing(2, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(unfailing, encoding, errors, line_buffering=True)
    # numba colours its errors, those too that nobody sees, and has a terminal reset at the end for it
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):  # standard error writes them as escapes by itself
        sys.stdout.reconfigure(errors="replace")
