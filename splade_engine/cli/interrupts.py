"""Ctrl-C, SIGTERM and SIGHUP: one line and exit code 130, 143 or 129, at any moment.

Service managers, batch systems and `docker stop` send SIGTERM, a terminal that is closed sends SIGHUP. A
command ends for them as it does for Ctrl-C: it cleans up, says how it goes on, and training writes a
checkpoint first.

Python raises KeyboardInterrupt wherever it happens to be. Inside an `import` that leaves a half-made
module, which C extensions report as another error; inside a finalizer it is printed and forgotten. There,
and when a second signal comes, the process ends at once: whatever is written on disk is published
by a rename, so that ending is always safe. Everywhere else KeyboardInterrupt is raised, and commands clean
up behind themselves.

`install` is the first thing that the program does. The milliseconds before it belong to Python, which starts
up and reads what the environment adds to it (`.pth` files): Ctrl-C ends the process there with what Python
prints.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

INTERRUPTED = 130  # 128 + SIGINT, with which typer too ends
# what a command ends for: the word that the line begins with, and what handles the signal in a new process
_ENDING: dict[int, tuple[str, Any]] = {signal.SIGINT: ("interrupted", signal.default_int_handler)}
for _name, _word in (("SIGTERM", "terminated"), ("SIGHUP", "the terminal was closed")):
    if hasattr(signal, _name):  # Windows has no SIGHUP
        _ENDING[getattr(signal, _name)] = (_word, signal.SIG_DFL)
_IMPORT = "<frozen importlib._bootstrap>"


class Interrupts:
    """What a process does about these signals, from its first lines to its last."""

    def __init__(self) -> None:
        # what to do next, for the line that is printed
        self.hint: Callable[[], str] | None = None
        # whether there is nothing left to clean up
        self.at_once = False
        # whether the line has been printed; typer ends `--help` and the like without one
        self.told = False
        self._number: int = signal.SIGINT
        self._process = os.getpid()

    def install(self) -> None:
        """Handle them, unless they are ignored: shells start background jobs so, and nohup its command."""
        for number, (_, usual) in _ENDING.items():
            try:
                if signal.getsignal(number) == usual:
                    signal.signal(number, self._handle)
                    sys.unraisablehook = self._unraisable
            except ValueError:  # not the main thread: it is for others to handle
                return

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._number = number
        if os.getpid() != self._process:  # a worker: the process that started it says what there is to say
            os._exit(self.code)
        if self.at_once or _imports(frame):
            self.end()
        self.at_once = True
        raise KeyboardInterrupt

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            self.end()
        sys.__unraisablehook__(what)

    @property
    def code(self) -> int:
        """The exit code: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self._number

    def message(self) -> str:
        """The line for whoever ended the command."""
        hint = self.hint() if self.hint is not None else ""
        return _ENDING[self._number][0] + (f"; {hint}" if hint else "")

    def end(self) -> None:
        """Print the line and end the process, without cleaning up."""
        with suppress(OSError):  # nobody reads standard error
            os.write(2, f"splade-engine: {self.message()}\n".encode(errors="replace"))
        os._exit(self.code)


def _imports(frame: FrameType | None) -> bool:
    """Whether an `import` is under way."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


interrupts = Interrupts()
