"""A process that may have little memory (`ulimit -v`) uses one thread for linear algebra.

OpenBLAS, which comes with numpy, makes its threads when it is imported. Where they find no room for their
stacks and buffers it waits for ever for threads that are not there: between 1.1 and 2.3 GB on two cores. With
one thread the same commands either work or say in one line that memory ran out.
"""

from __future__ import annotations

import os

SMALL = 4 << 30  # bytes; twice of what two threads were seen to need


def one_thread_if_small() -> None:
    """Ask OpenBLAS for one thread, before numpy is imported, where the address space is small."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < SMALL:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
