"""What becomes of an error: one line on standard error and an exit code, never a traceback.

0 all is well, 1 a failure, 2 bad input, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 141 nobody reads the output any
more. Errors that were foreseen say it themselves (`splade_engine.errors`); the others are told apart here.
`--verbose` shows where an error that nobody foresaw came from.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer

from splade_engine.cli import output
from splade_engine.cli.interrupts import interrupts
from splade_engine.errors import SpladeEngineError, lacks_memory
from splade_engine.extras import missing_extra

FAILURE, BAD_INPUT = 1, 2
BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports for `cat file | head -1`
# the errors of the command line itself: an unknown option, a value out of its range
UsageError: Any = typer.BadParameter.__mro__[1]


@contextmanager
def guarded() -> Iterator[None]:
    """Run a command; what it raises becomes one line and `typer.Exit`."""
    try:
        yield
        sys.stdout.flush()  # a closed pipe or a full disk shows here, not while the interpreter shuts down
    except (typer.Exit, SystemExit):
        raise
    except BaseException as error:  # a panic of Rust's is no Exception
        # under the same name, which goes with this clause: kept by another, the error and its frames would be
        # a cycle, and without memory nothing of it could be freed in peace while the process ends
        error = _alone(error)
        if isinstance(error, BrokenPipeError):
            _forget_output()
            raise typer.Exit(BROKEN_PIPE) from None
        if isinstance(error, KeyboardInterrupt | typer.Abort):
            interrupts.told = True
            fail(interrupts.message(), interrupts.code)
        text, code = told(error)
        if logging.getLogger("splade_engine").isEnabledFor(logging.DEBUG):
            with suppress(Exception):
                for line in "".join(traceback.format_exception(error)).splitlines():
                    output.complain(line, indented=True)
        fail(text, code)


def _alone(error: BaseException) -> BaseException:
    """The error within the groups that tasks of a server raise: one of them, where they hold several."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def fail(text: str, code: int) -> None:
    """Print an error as one line and end with `code`.

    Raises:
        typer.Exit: always.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _forget_output()
    with suppress(OSError):  # nobody reads standard error
        output.complain(output.message(f"splade-engine: {text}"))
    raise typer.Exit(code) from None


def told(error: BaseException) -> tuple[str, int]:
    """An error in one line, and the exit code."""
    if isinstance(error, SpladeEngineError):
        return _refused(error) if isinstance(error, OSError) else str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError):
        missing = missing_extra(error, "this command")
        if missing is not None:
            return str(missing), missing.exit_code
    if isinstance(error, UsageError):
        return _usage(error), BAD_INPUT
    # SystemError: a module of C whose import failed without saying why, which little memory alone does
    if lacks_memory(error, SystemError):
        return "out of memory" + _detail(error), FAILURE
    if isinstance(error, OSError):
        return _refused(error), FAILURE
    if isinstance(error, RecursionError):
        return "the input is nested too deeply", BAD_INPUT
    if isinstance(error, OverflowError):
        return "a number is too large" + _detail(error), BAD_INPUT
    if isinstance(error, UnicodeError):
        return "a text that is no Unicode" + _detail(error), BAD_INPUT
    hint = "" if logging.getLogger("splade_engine").isEnabledFor(logging.DEBUG) else "; --verbose shows where"
    return f"internal error, {type(error).__name__}{_detail(error)}{hint}", FAILURE


def _detail(error: BaseException) -> str:
    return f": {error}" if str(error) else ""


def _refused(error: OSError) -> str:
    """What the system refused, without the number that an OSError's own text begins with."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENOENT and error.filename is None and _is_nowhere():
        return "the working folder is not there any more; change to another one"
    if error.errno == errno.EMFILE:
        reason += " (ulimit -n is too small)"
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return reason if not name or name in reason else f"{name}: {reason}"


def _is_nowhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return True
    return False


def _usage(error: Any) -> str:
    """What is wrong with the arguments, and how to see what is right."""
    context = error.ctx
    text = error.format_message().rstrip(".")
    if text.startswith("No such option"):
        text += "; after -- a text may begin with a dash"
    if "extra argument" in text and context is not None and context.info_name == "search":
        text += "; put a query of several words in quotes"
    return f"{text}; {context.command_path} --help says more" if context is not None else text


def _forget_output() -> None:
    """Nothing more can be written: what is left in buffers must not fail again when the interpreter ends."""
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
