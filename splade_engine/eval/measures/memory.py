"""Peak resident memory of a stretch of work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Filled when the block of `peak_memory()` ends: `bytes`, None before."""

    def __init__(self) -> None:
        self.bytes: int | None = None


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Measure the largest resident size while the block runs.

    Linux forgets the earlier peak on request (5 written to /proc/self/clear_refs); elsewhere it is the
    peak since the process began, and None on Windows.
    """
    with suppress(OSError):
        _CLEAR.write_text("5")
    peak = PeakMemory()
    try:
        yield peak
    finally:
        peak.bytes = _peak_bytes()


def _peak_bytes() -> int | None:
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
