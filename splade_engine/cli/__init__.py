"""The command line: `splade-engine COMMAND`.

`commands.py` is the table of commands; each is a function in `cli/<command>.py`, imported when it is
called, so that `--help` loads none of torch, transformers, numba and pyarrow. Results go to standard
output, progress and logs to standard error (`output.py`, `log.py`). An error is one line and an exit code
(`guard.py`), Ctrl-C and SIGTERM too (`interrupts.py`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from splade_engine.cli.address_space import one_thread_if_small
from splade_engine.cli.garbage import look_seldom
from splade_engine.cli.interrupts import INTERRUPTED, interrupts

if TYPE_CHECKING:
    from splade_engine.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `splade-engine` script and of `python -m splade_engine`."""
    interrupts.install()  # before typer, which takes a while to import
    look_seldom()
    one_thread_if_small()
    try:
        from splade_engine.cli.commands import app
        from splade_engine.cli.streams import prepare

        prepare()
        app()
    except KeyboardInterrupt:  # before a command began, or after it ended
        interrupts.end()
    except SystemExit as ended:
        if ended.code == INTERRUPTED and not interrupts.told:
            interrupts.end()
        raise
    except (MemoryError, SystemError):
        # Too little memory even for the one line of an error. Python then loses the MemoryError now and then,
        # and says that a function failed without saying why: SystemError.
        with suppress(OSError):
            os.write(2, b"splade-engine: out of memory\n")
        raise SystemExit(1) from None
    finally:
        interrupts.at_once = True


def __getattr__(name: str) -> object:
    """`app`, the typer application, for tests and for programs that embed it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from splade_engine.cli.commands import app

    return app
