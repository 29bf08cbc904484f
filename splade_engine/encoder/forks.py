"""Models in forked processes: torch's threads are not in them, and a model would wait for these for ever."""

from __future__ import annotations

import os
import sys

from splade_engine.errors import SpladeEngineError

_used_in: int | None = None  # the process that has run a model of torch


def after_fork() -> SpladeEngineError:
    """The error for a process that was forked after its parent had run a model."""
    return SpladeEngineError(
        "this process was forked after its parent had encoded, and a model does not survive that: start it "
        "with multiprocessing's spawn, or encode in the parent only after the fork"
    )


def claim_process() -> None:
    """Say, before a model of torch is loaded, that this process runs one.

    A process in which torch has a single thread waits for no other, forked or not.

    Raises:
        SpladeEngineError: the process was forked after its parent had done so; any model would hang here.
    """
    global _used_in
    torch = sys.modules.get("torch")
    forked = _used_in not in (None, os.getpid())
    if forked and torch is not None and torch.get_num_threads() > 1:
        raise after_fork()
    _used_in = os.getpid()
