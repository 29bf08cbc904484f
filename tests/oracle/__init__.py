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


def codes_of(documents: SparseVectors, terms: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """uint8[nnz]: weights rounded up to multiples of the scale of their term, at most 255."""
    codes = (documents.weights / scales[terms]).astype(np.int64)
    codes += codes.astype(np.float32) * scales[terms] < documents.weights
    return np.minimum(codes, 255).astype(np.uint8)


def lists(documents: SparseVectors, window: int, n_levels: int) -> dict[str, np.ndarray]:
    """The list arrays of a segment, as layout.py defines them, for vectors as they are stored."""
    ids, terms = np.unique(documents.terms, return_inverse=True)
    rows = np.repeat(np.arange(len(documents)), documents.row_nnz)
    largest = np.zeros(len(ids), np.float32)
    np.maximum.at(largest, terms, documents.weights)
    scales = np.nextafter(largest / np.float32(255), np.float32(np.inf))
    codes = codes_of(documents, terms, scales)
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


def block_lists(documents: SparseVectors, docs: np.ndarray, left_out: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of segment/block_arrays.py, for vectors as they are stored.

    `docs` is their order, left_out bool[nnz] the entries that are in no list.
    """
    as_impact = lists(documents, 1 << 16, 1)
    ids, scales = as_impact["term_ids"], as_impact["list_scales"]
    terms = np.searchsorted(ids, documents.terms)
    rows = np.repeat(np.arange(len(documents)), documents.row_nnz)
    codes = codes_of(documents, terms, scales)
    place_of = np.argsort(docs)
    groups, blocks = -(-len(documents) // 64), -(-len(documents) // 1024) * 64
    made: dict[str, list] = {name: [] for name in ("codes", "maxima", "masks", "runs")}
    heads: dict[str, list] = {name: [] for name in ("heads", "head_masks", "head_maxima")}
    starts, head_starts, columns, rests = [0], [0], [], []
    for t in range(len(ids)):
        ours = np.flatnonzero((terms == t) & ~left_out)
        places = place_of[rows[ours]]
        ours, places = ours[np.argsort(places)], np.sort(places)
        made["codes"] += codes[ours].tolist()
        starts.append(len(made["codes"]))
        rests.append(max(documents.weights[(terms == t) & left_out], default=0))
        long = len(ours) >= max(1, groups)
        columns.append(sum(c >= 0 for c in columns) if long else -1)
        bits, maxima = np.zeros(groups * 64, np.uint8), np.zeros(blocks, np.uint8)
        bits[places] = 1
        np.maximum.at(maxima, places // 16, codes[ours])
        if long:
            masks = np.packbits(bits, bitorder="little").view(np.uint64)
            made["maxima"] += maxima.tolist()
            made["masks"] += masks.tolist()
            made["runs"] += np.cumsum([0, *bits.reshape(-1, 64).sum(axis=1)[:-1]]).tolist()
        else:
            held = np.flatnonzero(maxima).tolist()
            heads["heads"] += held
            heads["head_masks"] += np.packbits(bits, bitorder="little").view(np.uint16)[held].tolist()
            heads["head_maxima"] += maxima[held].tolist()
        head_starts.append(len(heads["heads"]))
    in_lists = np.bincount(rows[~left_out], minlength=len(documents))
    dtypes = {"codes": "u1", "maxima": "u1", "masks": "u8", "runs": "u4", "heads": "u4", "head_masks": "u2"}
    found = {name: np.array(values, dtypes.get(name, "u1")) for name, values in (made | heads).items()}
    found |= {
        "starts": np.array(starts, np.int64),
        "docs": docs.astype(np.uint32),
        "scales": scales,
        "counts": np.bincount(terms, minlength=len(ids)).astype(np.uint32),
        "rests": np.array(rests, np.float32),
        "unlisted": np.flatnonzero((in_lists == 0) & (documents.row_nnz > 0)).astype(np.uint32),
        "columns": np.array(columns, np.int32),
        "head_starts": np.array(head_starts, np.int64),
    }
    return {f"block_{name}": array for name, array in found.items()}
