"""From a batch of vectors to the arrays of a segment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.config import BuildConfig
from splade_engine.index.kernels import build as kernels
from splade_engine.index.layout import N_LEVELS, SEGMENT_ARRAYS, WINDOW, n_windows
from splade_engine.vectors import SparseVectors

Item = TypeVar("Item")
Empty = Callable[[int, Any], NDArray[Any]]
_CHUNK = 1 << 22  # entries converted at a time
_DENSE_TERMS = 1 << 24  # vocabularies up to this size are counted in a dense table (64 MiB at most)
_HALF_MAX = 65504.0
_HALF_SMALLEST = 2.0**-24


def build_segment(
    vectors: SparseVectors, config: BuildConfig, threads: int, empty: Empty = np.empty
) -> dict[str, NDArray[Any]]:
    """Build all arrays of a segment; the result depends on neither `threads` nor the machine.

    Args:
        empty: makes the arrays whose length grows with the vectors, of a length and a dtype: `np.empty`, or
            arrays in files where memory is short.

    Raises:
        InvalidInputError: if threads < 1, or `config.weights` is "float16" and a weight is beyond its range.
    """
    if threads < 1:
        raise InvalidInputError(f"threads must be at least 1, got {threads}")
    arrays = {spec.name: np.zeros(0, spec.dtype) for spec in SEGMENT_ARRAYS}
    arrays["doc_offsets"] = empty(len(vectors) + 1, np.int64)
    arrays["doc_offsets"][:] = vectors.indptr
    arrays["term_ids"], terms = _numbered(vectors, threads, empty)
    arrays["doc_terms_16" if terms.dtype == np.uint16 else "doc_terms_32"] = terms
    weights = _stored_weights(vectors.weights, config, threads, empty)
    arrays["doc_weights_16" if weights.dtype == np.float16 else "doc_weights_32"] = weights
    _build_lists(arrays, terms, weights, len(vectors), threads, empty)
    return arrays


def each(work: Callable[[Item], Any], items: Iterable[Item], threads: int) -> list[Any]:
    """Map over a pool of threads (kernels release the GIL); results in order."""
    if threads == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _chunks(n: int) -> list[slice]:
    return [slice(a, min(a + _CHUNK, n)) for a in range(0, n, _CHUNK)]


def _numbered(vectors: SparseVectors, threads: int, empty: Empty) -> tuple[NDArray[np.uint32], NDArray[Any]]:
    """The distinct terms in ascending order, and every entry's place among them."""
    if vectors.n_terms <= _DENSE_TERMS:
        counts = np.zeros(vectors.n_terms, np.int64)
        kernels.count_terms(vectors.terms, counts)
        ids = np.flatnonzero(counts).astype(np.uint32)
    else:
        ids = np.unique(vectors.terms).astype(np.uint32)
    out = empty(vectors.nnz, np.uint16 if len(ids) <= 1 << 16 else np.uint32)
    if vectors.n_terms <= _DENSE_TERMS:
        number_of = np.zeros(vectors.n_terms, np.uint32)
        number_of[ids] = np.arange(len(ids), dtype=np.uint32)

        def convert(part: slice) -> None:
            kernels.number_terms[int(out.dtype == np.uint32)](vectors.terms[part], number_of, out[part])
    else:

        def convert(part: slice) -> None:
            out[part] = np.searchsorted(ids, vectors.terms[part])

    each(convert, _chunks(vectors.nnz), threads)
    return ids, out


def _stored_weights(
    weights: NDArray[np.float32], config: BuildConfig, threads: int, empty: Empty
) -> NDArray[Any]:
    largest = float(weights.max()) if len(weights) else 1.0
    # weights below the smallest float16 are raised to it; where even the largest is near it that would
    # distort
    fits = 2.0**-10 <= largest <= _HALF_MAX
    if config.weights == "float16" and not fits:
        raise InvalidInputError(
            f"weights: float16 needs a largest weight of 2^-10 to {_HALF_MAX:.0f}, got {largest:g}"
        )
    if config.weights == "float32" or not fits:
        same = empty(len(weights), np.float32)
        same[:] = weights
        return same
    out = empty(len(weights), np.float16)

    def convert(part: slice) -> None:
        out[part] = np.maximum(weights[part], np.float32(_HALF_SMALLEST))

    each(convert, _chunks(len(weights)), threads)
    return out


def _build_lists(
    arrays: dict[str, NDArray[Any]],
    terms: NDArray[Any],
    weights: NDArray[Any],
    n_docs: int,
    threads: int,
    empty: Empty,
) -> None:
    n_local, windows = len(arrays["term_ids"]), n_windows(n_docs)
    offsets = arrays["doc_offsets"]
    bits = weights.view(np.uint16) if weights.dtype == np.float16 else weights
    wide = int(terms.dtype == np.uint32)
    variant = 2 * wide + int(weights.dtype == np.float32)
    bounds = [(w * WINDOW, min((w + 1) * WINDOW, n_docs)) for w in range(windows)]

    def count(window: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        counts, largest = np.zeros(n_local, np.int64), np.zeros(n_local, np.float32)
        first, last = bounds[window]
        kernels.count_window[variant](offsets[first], offsets[last], terms, bits, counts, largest)
        return counts, largest

    counted = each(count, range(windows), threads)
    counts = np.zeros((n_local, windows), np.int64)
    largest = np.zeros(n_local, np.float32)
    for window, (part, maxima) in enumerate(counted):
        counts[:, window] = part
        np.maximum(largest, maxima, out=largest)
    starts = np.concatenate(([0], np.cumsum(counts.ravel())))
    scales = np.nextafter(largest / np.float32(255), np.float32(np.inf))  # so that 255 reaches the largest
    docs, codes = empty(len(terms), np.uint16), empty(len(terms), np.uint8)

    def fill(window: int) -> None:
        first, last = bounds[window]
        begin, end = int(offsets[first]), int(offsets[last])
        given, by_code = empty(end - begin, np.uint8), np.zeros(256, np.int64)
        kernels.encode_window[variant](begin, end, terms, bits, scales, given, by_code)
        cursors = np.concatenate((np.cumsum(by_code[::-1])[-2::-1], [0]))
        ordered = [empty(end - begin, kind) for kind in (terms.dtype, np.uint16, np.uint8)]
        kernels.sort_by_code[wide](first, last, offsets, terms, given, cursors, *ordered)
        places = starts[:-1].reshape(n_local, windows)[:, window].copy()
        kernels.sort_by_term[wide](*ordered, places, docs, codes)

    each(fill, range(windows), threads)
    levels = np.zeros(n_local * N_LEVELS, np.uint8)

    def mark(part: slice) -> None:
        kernels.mark_levels(part.start, part.stop, windows, starts, codes, np.zeros(256, np.int64), levels)

    if windows:
        each(mark, [slice(a, min(a + 1024, n_local)) for a in range(0, n_local, 1024)], threads)
    arrays.update(
        list_offsets=starts, list_scales=scales, list_levels=levels, list_docs=docs, list_codes=codes
    )
