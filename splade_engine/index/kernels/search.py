"""The search loops: walk lists window by window, score the best documents in full, keep the best k.

Query q of a batch is `q_terms[q_offsets[q]:q_offsets[q + 1]]` (the segment's term numbers, ascending), with weights
`q_weights` and list factors `q_factors` = weight * scale. `order` holds for each query its entries, heaviest factor
first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import kernel, prefetch
from splade_engine.index.kernels.accumulate import add_list, collect_above, nth_largest
from splade_engine.index.kernels.heap import push, sort_best_first
from splade_engine.index.kernels.score import score_row

_LARGEST = np.float32(3.4028234663852886e38)
_AHEAD = 6  # documents prefetched ahead: 690 -> 137 ns for a random one
_SLACK = np.float32(1.0 - 1e-4)  # covers the rounding of at most 2^10 float32 additions in another order


_SIGNATURES = tuple(
    "i8 i8 b1 i8 i8 i8[] u4[] f4[] f4[] i8[] "  # the batch
    "i8 i8[] u2[] u1[] "  # the lists
    f"i8[] {t}[] {w}[] u1[] "  # the forward index, the documents allowed
    "f4[]! f4[]! i8[]! f4[]! f4[]! "  # scratch
    "i8[,]! f4[,]! i8[]!"  # results
    for t in ("u2", "u4")
    for w in ("u2", "f4")
)


@kernel(*_SIGNATURES)
def search_queries(
    first: Any,
    last: Any,
    exact: Any,
    query_cut: Any,
    n_candidates: Any,
    q_offsets: Any,
    q_terms: Any,
    q_weights: Any,
    q_factors: Any,
    order: Any,
    window: Any,
    list_offsets: Any,
    list_docs: Any,
    list_codes: Any,
    doc_offsets: Any,
    doc_terms: Any,
    doc_weights: Any,
    allowed: Any,
    table: Any,
    bounds: Any,
    slots: Any,
    values: Any,
    pivots: Any,
    out_docs: Any,
    out_scores: Any,
    out_scored: Any,
) -> None:
    """Answer queries first..last-1 of a batch, exactly or approximately."""
    n_docs = len(doc_offsets) - 1
    windows = (n_docs + window - 1) // window
    k = out_docs.shape[1]
    for q in range(first, last):
        a, b = q_offsets[q], q_offsets[q + 1]
        for j in range(a, b):
            table[np.uint64(q_terms[j])] = q_weights[j]
        heap_docs, heap_scores = out_docs[q], out_scores[q]
        size = np.int64(0)
        scored = np.int64(0)
        cut = b if exact else min(b, a + query_cut)
        kept = np.int64(0)  # approximate: candidates kept over all windows
        floor = np.float32(0.0)
        for w in range(windows):
            base = w * window
            n = min(window, n_docs - base)
            for i in range(a, cut):
                e = order[i]
                at = np.int64(q_terms[e]) * windows + w
                s, t = list_offsets[at], list_offsets[at + 1]
                add_list(list_docs[s:t], list_codes[s:t], q_factors[e], bounds)
            if exact:
                threshold = heap_scores[0] * _SLACK if size == k else np.float32(0.0)
                count = collect_above(bounds, n, threshold, slots, values)
                if len(allowed):
                    m = np.int64(0)
                    for c in range(count):
                        if allowed[base + slots[c]]:
                            slots[m], values[m] = slots[c], values[c]
                            m += 1
                    count = m
                pivot = np.float32(0.0)
                if count > 2 * k:  # the likely best first: they raise the threshold for the rest
                    for c in range(count):
                        pivots[c] = values[c]
                    pivot = nth_largest(pivots, count, k)
                for turn in range(2):
                    for c in range(count):
                        if (values[c] >= pivot) == (turn == 0) and (
                            size < k or values[c] >= heap_scores[0] * _SLACK
                        ):
                            d = base + slots[c]
                            x, y = doc_offsets[d], doc_offsets[d + 1]
                            score = min(score_row(doc_terms[x:y], doc_weights[x:y], table), _LARGEST)
                            scored += 1
                            if score > np.float32(0.0):
                                size = push(heap_scores, heap_docs, size, score, d)
            else:
                part_slots, part_values = slots[kept:], values[kept:]
                count = collect_above(bounds, n, floor, part_slots, part_values)
                for c in range(kept, kept + count):
                    d = base + slots[c]
                    if len(allowed) == 0 or allowed[d]:
                        slots[kept], values[kept] = d, values[c]
                        kept += 1
                if kept > n_candidates:
                    for c in range(kept):
                        pivots[c] = values[c]
                    floor = nth_largest(pivots, kept, n_candidates)
                    m = np.int64(0)
                    for c in range(kept):
                        if values[c] >= floor and m < n_candidates + window:
                            slots[m], values[m] = slots[c], values[c]
                            m += 1
                    kept = m
        if not exact:
            for c in range(kept):
                if c + _AHEAD < kept:
                    x = doc_offsets[slots[c + _AHEAD]]
                    prefetch(doc_terms, x)
                    prefetch(doc_weights, x)
                d = slots[c]
                x, y = doc_offsets[d], doc_offsets[d + 1]
                score = min(score_row(doc_terms[x:y], doc_weights[x:y], table), _LARGEST)
                scored += 1
                if score > np.float32(0.0):
                    size = push(heap_scores, heap_docs, size, score, d)
        sort_best_first(heap_scores, heap_docs, size)
        out_scored[q] = scored
        for j in range(a, b):
            table[np.uint64(q_terms[j])] = np.float32(0.0)
