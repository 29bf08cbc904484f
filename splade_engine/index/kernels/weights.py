"""How the weights of rows are read, whatever they are stored as (`segment/weights/`), and how codes are made.

How they are stored is told by the dtype of the array, which is known when a kernel is compiled: it holds the
one branch that fits.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from splade_engine.index.kernels.codes import LARGEST_CODE, SCALE_BITS, SMALLEST_SCALE
from splade_engine.index.kernels.dtypes import b1, f4, f4_r, f4_w, i8, i8_r, u1_r, u1_w, u2_r, u8
from splade_engine.index.kernels.jit import helper, item_size, kernel

# 8-bit codes, the bits of a float16, a float32
Weights: TypeAlias = u1_r | u2_r | f4_r

# shifted half-precision bits, read as single precision, are too small by this factor
HALF = np.float32(2.0**112)


@helper
def item_of(weights: Weights, j: i8) -> i8:
    """The item of `weights` that holds entry j."""
    return j


@helper
def are_codes(weights: Weights) -> b1:
    """Whether each row has a scale that its entries are multiplied by: a constant of the compiled variant."""
    return item_size(weights) == 1


@helper
def widen(weights: Weights, j: i8 | u8, scale: f4) -> f4:
    """float32 of entry j: the bits of a positive float16 (as uint16), an 8-bit code, or a float32."""
    if item_size(weights) == 2:
        return np.uint32(np.uint32(weights[j]) << np.uint32(13)).view(np.float32) * HALF
    if item_size(weights) == 1:
        return np.float32(weights[j]) * scale
    return np.float32(weights[j])


@helper
def scale_of(d: i8, weights: Weights, scales: f4_r) -> f4:
    """The scale of the codes of row d; 1 for weights that are no codes, whose `scales` are empty."""
    if are_codes(weights):
        return np.float32(scales[np.uint64(d)])
    return np.float32(1.0)


@kernel
def quantise_rows(first: i8, last: i8, offsets: i8_r, weights: f4_r, codes: u1_w, scales: f4_w) -> None:
    """Weights of the rows first..last-1 as the nearest code * scale, code 1 to 255.

    A scale depends on its row alone: a 255th of the largest weight, cut to 16 bits. So code * scale is exact
    in float32, and quantising it again gives the same code and scale.
    """
    for d in range(first, last):
        begin, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        largest = np.float32(0.0)
        for j in range(begin, end):
            largest = max(largest, weights[j])
        cut = np.uint32(np.float32(largest / LARGEST_CODE).view(np.uint32) & SCALE_BITS)
        scale = max(cut.view(np.float32), SMALLEST_SCALE)
        scales[d] = scale
        for j in range(begin, end):
            code = np.int64(weights[j] / scale + np.float32(0.5))
            codes[j] = min(max(int(code), 1), 255)
