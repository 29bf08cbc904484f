"""The numbers that 8-bit codes are made of. Needs no numba: an index that is only looked at checks them too.

A row of codes has one scale. It is cut to 16 significant bits, so that code * scale is exact in float32: rows
that are read, joined and stored again keep every bit.
"""

from __future__ import annotations

import numpy as np

LARGEST_CODE = np.float32(255.0)
SCALE_BITS = np.uint32(0xFFFFFF00)
SMALLEST_SCALE = np.float32(2.0**-120)
LARGEST_SCALE = np.float32(257 * 2.0**112)  # 255 times as much is the largest float32, cut alike
