"""How often a process of the command line looks for garbage: seldom, and not at its end.

The libraries that a command loads make two million objects, all of which stay. Python looks through them
for cycles after every 700, and at the end again before it forgets them. That took a third of the processor
time in which torch, transformers, numba and pyarrow are loaded and left (3.1 s, 2.1 s without it).
"""

from __future__ import annotations

import atexit
import gc

# objects made since the last look; a look is then some milliseconds, and what it frees late some megabytes
OBJECTS = 50_000


def look_seldom() -> None:
    """Do so from now on."""
    if gc.get_threshold()[0] > 0:  # 0: somebody has switched it off
        gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # what is left then is the system's to free
