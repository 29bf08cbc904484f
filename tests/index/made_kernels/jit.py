"""Arguments of kernels/jit.py."""

from __future__ import annotations

import numpy as np


def prefetch(m):
    return {"array": m.scales, "index": 0}


def item_size(m):
    return {"array": m.numbers if len(m.numbers) else np.zeros(1, np.uint8)}
