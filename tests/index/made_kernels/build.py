"""Arguments of kernels/build.py."""

from __future__ import annotations

import numpy as np

from tests.index.made_kernels.segment import N_TERMS


def count_terms(m):
    return {"terms": m.terms, "counts": np.ones(N_TERMS, np.int64)}


def number_terms(m):
    dtype = m.rng.choice([np.uint16, np.uint32])
    number_of = m.rng.permutation(N_TERMS).astype(np.uint32)
    return {"terms": m.terms, "number_of": number_of, "out": np.zeros(len(m.terms), dtype)}


def span(m):
    first = int(m.rng.integers(0, m.n_docs))
    return {"first": first, "last": int(m.rng.integers(first, m.n_docs + 1)), "offsets": m.offsets}


def _window(m):
    dtype = m.rng.choice([np.uint16, np.uint32])
    stored = {"weights": m.stored, "row_scales": m.scales}
    return span(m) | {"terms": m.numbers.astype(dtype)} | stored


def count_window(m):
    counts, largest = np.zeros(m.n_lists, np.int64), np.zeros(m.n_lists, np.float32)
    return _window(m) | {"counts": counts, "largest": largest}


def encode_window(m):
    made = _window(m)
    n = m.offsets[made["last"]] - m.offsets[made["first"]]
    rest = {"codes": np.zeros(n, np.uint8), "counts": np.zeros(256, np.int64)}
    return made | {"scales": np.asarray(m.lists.scales)} | rest


def sort_by_code(m):
    made = _window(m)
    del made["weights"], made["row_scales"]
    n = m.offsets[made["last"]] - m.offsets[made["first"]]
    codes = m.rng.integers(1, 256, n).astype(np.uint8)
    by_code = np.bincount(codes, minlength=256)
    cursors = np.concatenate((np.cumsum(by_code[::-1])[-2::-1], [0]))
    out = {"sorted_terms": np.zeros(n, made["terms"].dtype), "sorted_docs": np.zeros(n, np.uint16)}
    return made | out | {"codes": codes, "cursors": cursors, "sorted_codes": np.zeros(n, np.uint8)}


def sort_by_term(m):
    terms = m.numbers.astype(m.rng.choice([np.uint16, np.uint32]))
    n = len(terms)
    starts = np.concatenate(([0], np.cumsum(np.bincount(terms, minlength=m.n_lists))))[:-1]
    docs, codes = m.rng.integers(0, 99, n).astype(np.uint16), m.rng.integers(0, 256, n).astype(np.uint8)
    out = {"out_docs": np.zeros(n, np.uint16), "out_codes": np.zeros(n, np.uint8)}
    return {"terms": terms, "docs": docs, "codes": codes, "cursors": starts} | out


def mark_levels(m):
    rest = {"counts": np.zeros(256, np.int64), "levels": np.ones(4 * m.n_lists, np.uint8)}
    lists = {"windows": m.lists.windows, "offsets": m.lists.offsets, "codes": m.lists.codes}
    return {"first": 0, "last": m.n_lists} | lists | rest
