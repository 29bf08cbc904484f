"""Twins of kernels/weights.py."""

from __future__ import annotations

import numpy as np

from splade_engine.vectors import SparseVectors
from tests import oracle


def item_of(weights, j):
    return j


def are_codes(weights):
    return weights.dtype == np.uint8


def widen(weights, j, scale):
    if weights.dtype == np.uint8:
        return np.float32(weights[j]) * np.float32(scale)
    return np.float32(weights[j : j + 1].view(np.float16)[0] if weights.dtype == np.uint16 else weights[j])


def scale_of(d, weights, scales):
    return scales[d] if len(scales) else np.float32(1)


def quantise_rows(first, last, offsets, weights, codes, scales):
    lengths = np.diff(offsets)
    terms = np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)
    vectors = SparseVectors(offsets, terms, weights, max(int(lengths.max()), 1))
    all_codes, all_scales = oracle.quantised(vectors)
    entries = slice(offsets[first], offsets[last])
    codes[entries], scales[first:last] = all_codes[entries], all_scales[first:last]
