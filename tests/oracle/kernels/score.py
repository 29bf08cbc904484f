"""Twins of kernels/score.py."""

from __future__ import annotations

import numpy as np

from tests import oracle
from tests.oracle.kernels.split import row_terms
from tests.oracle.kernels.weights import scale_of, widen


def row(rows, d):
    """(term numbers, float32 weights) of row d."""
    entries = range(rows.offsets[d], rows.offsets[d + 1])
    scale = scale_of(d, rows.weights, rows.scales)
    weights = np.array([widen(rows.weights, j, scale) for j in entries], np.float32)
    if rows.blocks.dtype == np.uint64:
        return row_terms(rows.offsets, rows.terms, rows.blocks, rows.n_blocks, d), weights
    return rows.terms[entries.start : entries.stop], weights


def score_row(rows, d, query):
    return oracle.score(query.table, *row(rows, d))


def prefetch_row(rows, d):
    """Nothing but time changes."""
