"""Arguments of kernels/order.py."""

from __future__ import annotations

import numpy as np

from tests.index.made_kernels.build import span

DIMENSIONS = 64


def sketch_rows(m):
    known = 1 << int(m.rng.integers(0, 9))
    return span(m) | {
        "terms": m.numbers,
        "weights": m.stored,
        "row_scales": m.scales,
        "rarity": m.rng.random(m.n_lists).astype(np.float32) + np.float32(1),
        "signs": m.rng.choice([-1.0, 1.0], known * DIMENSIONS).astype(np.float32),
        "sums": np.zeros(DIMENSIONS, np.float32),
        "sketches": np.zeros(m.n_docs * DIMENSIONS, np.uint8),
    }


def _clusters(m):
    step, k = int(m.rng.integers(1, 4)), int(m.rng.integers(1, 6))
    sketches = m.rng.integers(1, 256, m.n_docs * DIMENSIONS).astype(np.uint8)
    given = {"docs": m.rng.permutation(m.n_docs), "step": step, "sketches": sketches}
    return given, k, m.n_docs // step


def nearest_centre(m):
    given, k, sample = _clusters(m)
    centres = m.rng.normal(size=DIMENSIONS * k).astype(np.float32)
    return given | {"centres": centres, "similar": np.zeros(k, np.float32), "out": np.zeros(sample, np.int64)}


def move_centres(m):
    given, k, sample = _clusters(m)
    return given | {
        "nearest": m.rng.integers(0, k, sample),
        "counts": np.ones(k, np.int64),
        "sums": np.ones(DIMENSIONS * k),
        "centres": m.rng.normal(size=DIMENSIONS * k).astype(np.float32),
    }


def _lists(m):
    return {
        "docs": m.blocks.docs,
        "offsets": m.offsets,
        "terms": m.numbers.astype(m.rng.choice([np.uint16, np.uint32])),
        "row_codes": m.codes,
        "columns": m.blocks.columns,
        "latest": np.full(m.n_lists, -1, np.int64),
    }


def count_heads(m):
    return _lists(m) | {"counts": np.zeros(m.n_lists, np.int64)}


def fill_lists(m):
    n_heads = len(m.blocks.heads)
    return _lists(m) | {
        "n_blocks": m.blocks.n_blocks,
        "n_groups": m.blocks.n_groups,
        "cursors": m.blocks.starts[:-1].copy(),
        "codes": np.zeros(len(m.blocks.codes), np.uint8),
        "maxima": np.zeros(len(m.blocks.maxima), np.uint8),
        "masks": np.zeros(len(m.blocks.masks), np.uint64),
        "head_cursors": m.blocks.head_starts[:-1].copy(),
        "heads": np.zeros(n_heads, np.uint32),
        "head_masks": np.zeros(n_heads, np.uint16),
        "head_maxima": np.zeros(n_heads, np.uint8),
    }


def count_runs(m):
    runs = np.zeros(len(m.blocks.masks), np.uint32)
    return {"n_groups": m.blocks.n_groups, "masks": m.blocks.masks, "runs": runs}
