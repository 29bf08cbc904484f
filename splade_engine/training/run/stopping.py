"""Ctrl-C in a run: the step is finished and saved, so that nothing is lost. A second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from splade_engine.progress import write_above
from splade_engine.training.run.watch import Watch


@contextmanager
def stopping(watch: Watch) -> Iterator[None]:
    """While the steps run, Ctrl-C asks `watch` to stop; KeyboardInterrupt is raised when they have stopped.

    In another thread than the main one, and where Ctrl-C is ignored (background jobs of a shell), nothing is
    changed.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def asked(number: int, frame: FrameType | None) -> Any:
        if watch.interrupted:
            signal.signal(signal.SIGINT, before)
            return before(number, frame)
        watch.interrupted = True
        write_above("stopping after this step, with a checkpoint; Ctrl-C again stops at once")
        return None

    signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if watch.interrupted:
        raise KeyboardInterrupt
