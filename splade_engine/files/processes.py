"""Whether a process runs that has left its number somewhere.

The number alone does not tell. Within a container the only process is often number 1, in its next life too,
and numbers come again when a machine is started anew. So the time at which the process began is left as well,
where the system tells it (Linux).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_BEGAN = 19  # of the fields of /proc/PID/stat that stand behind the name: ticks from the start of the machine


def runs(pid: int, since: str = "") -> bool:
    """Whether this machine has a process of that number.

    Args:
        pid: the number.
        since: what `began` said of the process that is meant; "" where that is not known.
    """
    if sys.platform == "win32":  # os.kill would end it; an open file cannot be deleted there anyway
        return pid == os.getpid()
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # none has such a number
        return False
    except OSError:
        pass  # somebody else's: it runs
    return not since or began(pid) in ("", since)


def began(pid: int) -> str:
    """When a process began, in digits; "" where the system does not tell."""
    fields = _stat(pid)
    return fields[_BEGAN] if len(fields) > _BEGAN and fields[_BEGAN].isdecimal() else ""


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped (Ctrl-Z, a debugger); False where the system does not tell."""
    return _stat(pid)[:1] in (["T"], ["t"])


def _stat(pid: int) -> list[str]:
    """What the system tells of a process, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
