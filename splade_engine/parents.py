"""Processes that end with the one that started them, however that one ends.

A worker of multiprocessing waits for work for ever. Where its parent was killed (by a service manager, at the
end of a job, for want of memory), an encoder's would keep its model on the GPU, and a server's its port.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable


def end_with_parent(end: Callable[[], object]) -> None:
    """Watch for the end of the parent, in a thread of a process that multiprocessing started.

    Does nothing in a process that was started otherwise.

    Args:
        end: is called in that thread when the parent has ended.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        end()

    threading.Thread(target=watch, name="parent", daemon=True).start()
