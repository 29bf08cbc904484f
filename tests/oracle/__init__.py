"""Plain numpy: slow, obvious, and what the fast code is held against.

Here stands what a search must find; `kernels` holds a twin of every kernel.
"""

from __future__ import annotations

import itertools

import numpy as np

from splade_engine.vectors import SparseVectors


def stored(vectors: SparseVectors, kind: str = "float16") -> SparseVectors:
    """The vectors as a segment keeps them: weights rounded to the storage type, never to zero."""
    weights = vectors.weights
    if kind == "uint8":
        codes, scales = quantised(vectors)
        weights = codes.astype(np.float32) * np.repeat(scales, vectors.row_nnz)
    elif kind == "float16":
        smallest = np.float32(np.finfo(np.float16).smallest_subnormal)
        weights = np.maximum(weights, smallest).astype(np.float16).astype(np.float32)
    return SparseVectors(vectors.indptr, vectors.terms, weights, vectors.n_terms)


def quantised(vectors: SparseVectors) -> tuple[np.ndarray, np.ndarray]:
    """(codes uint8[nnz], scales float32[n_docs]): nearest multiples of a 255th of a row's largest weight."""
    codes, scales = np.zeros(vectors.nnz, np.uint8), np.zeros(len(vectors), np.float32)
    for d, (begin, end) in enumerate(itertools.pairwise(vectors.indptr.tolist())):
        row = vectors.weights[begin:end]
        scale = max(row, default=np.float32(0)) / np.float32(255)
        mantissa, exponent = np.frexp(scale)
        cut = np.ldexp(np.floor(np.ldexp(mantissa, 16)), exponent - 16)  # 16 significant bits
        scales[d] = max(np.float32(cut), np.float32(2.0**-120))
        codes[begin:end] = np.clip(np.floor(row / scales[d] + np.float32(0.5)), 1, 255)
    return codes, scales


def split(
    terms: np.ndarray, indptr: np.ndarray, n_local: int, low_bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """(lower bits of each term number, words with the bits of the upper ones), as kernels/split.py says."""
    n_blocks = -(-n_local >> low_bits)
    bits = np.zeros(-(-(len(terms) + (len(indptr) - 1) * n_blocks) // 64) * 64, np.uint8)
    for d, (begin, end) in enumerate(itertools.pairwise(indptr.tolist())):
        for k, term in enumerate(terms[begin:end].tolist()):
            bits[begin + d * n_blocks + k + (term >> low_bits)] = 1
    return terms & ((1 << low_bits) - 1), np.packbits(bits, bitorder="little").view(np.uint64)


def score(table: np.ndarray, terms: np.ndarray, weights: np.ndarray) -> np.float32:
    """Four interleaved float32 sums, (s0 + s1) + (s2 + s3), as kernels/score.py defines the score."""
    sums = np.zeros(4, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        for j, (term, weight) in enumerate(zip(terms, weights, strict=True)):
            sums[j % 4] += table[term] * np.float32(weight)
        total = (sums[0] + sums[1]) + (sums[2] + sums[3])
    return min(total, np.finfo(np.float32).max)


def all_scores(documents: SparseVectors, query: SparseVectors) -> np.ndarray:
    """float32[n_docs]: the score of every document for a batch of one query."""
    table = np.zeros(query.n_terms, np.float32)
    table[query.terms] = query.weights
    return np.array([score(table, t, w) for t, w in documents], np.float32).reshape(len(documents))


def rank(scores: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(ordinals, scores) of the best k: score descending, ordinal ascending, above zero; padded -1, -inf."""
    good = np.flatnonzero((scores > 0) & (True if allowed is None else allowed))
    best = good[np.lexsort((good, -scores[good]))][:k]
    ordinals, values = np.full(k, -1, np.int64), np.full(k, -np.inf, np.float32)
    ordinals[: len(best)], values[: len(best)] = best, scores[best]
    return ordinals, values


def exact(
    documents: SparseVectors, queries: SparseVectors, k: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Brute force over stored vectors: (ordinals int64[nq, k], scores float32[nq, k])."""
    pairs = [rank(all_scores(documents, queries[i]), k, allowed) for i in range(len(queries))]
    if not pairs:
        return np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


# ---- the inverted lists ------------------------------------------------------------------------


def lists(documents: SparseVectors, window: int, n_levels: int) -> dict[str, np.ndarray]:
    """The list arrays of a segment, as layout.py defines them, for vectors as they are stored."""
    ids, terms = np.unique(documents.terms, return_inverse=True)
    rows = np.repeat(np.arange(len(documents)), documents.row_nnz)
    largest = np.zeros(len(ids), np.float32)
    np.maximum.at(largest, terms, documents.weights)
    scales = np.nextafter(largest / np.float32(255), np.float32(np.inf))
    codes = (documents.weights / scales[terms]).astype(np.int64)
    codes += codes.astype(np.float32) * scales[terms] < documents.weights
    codes = np.minimum(codes, 255).astype(np.uint8)
    windows = -(-len(documents) // window)
    order = np.lexsort((rows, -codes.astype(int), rows // window, terms))
    cells = terms * windows + rows // window if windows else terms
    counts = np.bincount(cells, minlength=len(ids) * windows)
    levels = np.zeros((len(ids), n_levels), np.uint8)
    for t in range(len(ids)):
        ranked = np.sort(codes[terms == t])[::-1]
        for i in range(n_levels):
            if len(ranked) >= 64 << i:
                levels[t, i] = ranked[(64 << i) - 1]
    return {
        "term_ids": ids.astype(np.uint32),
        "list_offsets": np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        "list_scales": scales,
        "list_levels": levels.ravel(),
        "list_docs": (rows[order] % window).astype(np.uint16),
        "list_codes": codes[order],
    }


def bounds(codes: np.ndarray, documents: np.ndarray, multiplier: int, n: int) -> np.ndarray:
    """What one list adds to the 16-bit bounds of n documents."""
    out = np.zeros(n, np.uint16)
    np.add.at(out, documents, ((multiplier * codes.astype(np.int64) + 255) >> 8).astype(np.uint16))
    return out
