"""Ctrl-C in a run: the step is finished and saved, so that nothing is lost. A second one stops at once.

The command line takes SIGTERM and SIGHUP for the same (`cli/interrupts.py`), and then they do the same here:
a job whose time is over is saved.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from splade_engine.progress import write_above
from splade_engine.training.run.watch import Watch

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stopping(watch: Watch) -> Iterator[None]:
    """While the steps run, Ctrl-C asks `watch` to stop; KeyboardInterrupt is raised when they have stopped.

    So do other signals that Python code handles. In another thread than the main one, and where a signal is
    ignored (background jobs of a shell) or the system's own matter, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}
    stopped_by: list[int] = []
    for number in _SIGNALS:
        if callable(handler := signal.getsignal(number)):
            before[number] = handler

    def asked(number: int, frame: FrameType | None) -> Any:
        if watch.interrupted:
            signal.signal(number, before[number])
            return before[number](number, frame)
        watch.interrupted = True
        stopped_by.append(number)
        write_above("stopping after this step, with a checkpoint; Ctrl-C again stops at once")
        return None

    for number in before:
        signal.signal(number, asked)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped_by:
        before[stopped_by[0]](stopped_by[0], None)
    if watch.interrupted:
        raise KeyboardInterrupt
