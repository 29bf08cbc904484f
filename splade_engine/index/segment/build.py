"""From a batch of vectors to the arrays of a segment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.auto_lists import chosen_lists
from splade_engine.index.config import BuildConfig
from splade_engine.index.kernels import build as kernels
from splade_engine.index.segment.arrays import Empty
from splade_engine.index.segment.layout import SEGMENT_ARRAYS
from splade_engine.index.segment.list_kinds import lists_for
from splade_engine.index.segment.rows import Rows
from splade_engine.index.segment.terms import PLAIN_16, PLAIN_32, TermKind, stored_terms, terms_for
from splade_engine.index.segment.threads import map_threads
from splade_engine.index.segment.weights import weights_for
from splade_engine.vectors import SparseVectors

_CHUNK = 1 << 22  # entries converted at a time
_DENSE_TERMS = 1 << 24  # vocabularies up to this size are counted in a dense table (64 MiB at most)


def build_segment(
    vectors: SparseVectors, config: BuildConfig, threads: int, empty: Empty = np.empty
) -> dict[str, NDArray[Any]]:
    """Build all arrays of a segment; the result depends on neither `threads` nor the machine.

    Args:
        vectors: the documents, in the order of their ordinals.
        config: what is stored and how.
        threads: how many work on it, at least 1.
        empty: makes the arrays whose length grows with the vectors, of a length and a dtype: `np.empty`, or
            arrays in files where memory is short.

    Raises:
        InvalidInputError: if threads < 1, or `config.weights` is "float16" and a weight is beyond its range.
    """
    arrays = build_rows(vectors, config, threads, empty)
    return add_lists(arrays, config, threads, empty)


def build_rows(
    vectors: SparseVectors, config: BuildConfig, threads: int, empty: Empty = np.empty
) -> dict[str, NDArray[Any]]:
    """The arrays of `build_segment` that hold the documents, with plain term numbers; the others are empty.

    They are all that `add_lists` needs: the vectors can be given up in between.

    Raises:
        InvalidInputError: as `build_segment`.
    """
    if threads < 1:
        raise InvalidInputError(f"threads must be at least 1, got {threads}")
    arrays = {spec.name: np.zeros(0, spec.dtype) for spec in SEGMENT_ARRAYS}
    arrays["doc_offsets"] = empty(len(vectors) + 1, np.int64)
    arrays["doc_offsets"][:] = vectors.indptr
    arrays["term_ids"], terms = _numbered(vectors, threads, empty)
    arrays[_plain(terms).section] = terms
    largest = float(vectors.weights.max()) if vectors.nnz else 1.0
    return arrays | weights_for(config, largest).write(vectors, arrays["doc_offsets"], threads, empty)


def add_lists(
    arrays: dict[str, NDArray[Any]], config: BuildConfig, threads: int, empty: Empty = np.empty
) -> dict[str, NDArray[Any]]:
    """The arrays of `build_segment`: those of `build_rows`, the lists, and the terms as they are stored."""
    n_docs, n_lists = len(arrays["doc_offsets"]) - 1, len(arrays["term_ids"])
    lists = chosen_lists(config.lists, n_docs)
    arrays = arrays | lists_for(lists).build(Rows(arrays), n_lists, lists, threads, empty)
    plain, kind = stored_terms(arrays), terms_for(config, n_lists)
    terms = arrays[plain.section]
    if kind is not plain and len(terms):
        arrays |= kind.write(arrays["doc_offsets"], terms, n_lists, empty)
        arrays[plain.section] = np.zeros(0, terms.dtype)
    return arrays


def _plain(terms: NDArray[Any]) -> TermKind:
    """How term numbers are kept while lists are built of them: whole."""
    return PLAIN_16 if terms.dtype == np.uint16 else PLAIN_32


def _chunks(n: int) -> list[slice]:
    return [slice(a, min(a + _CHUNK, n)) for a in range(0, n, _CHUNK)]


def _numbered(vectors: SparseVectors, threads: int, empty: Empty) -> tuple[NDArray[np.uint32], NDArray[Any]]:
    """The distinct terms in ascending order, and every entry's place among them."""
    if vectors.n_terms <= _DENSE_TERMS:
        counts = np.zeros(vectors.n_terms, np.int64)
        kernels.count_terms(terms=vectors.terms, counts=counts)
        ids = np.flatnonzero(counts).astype(np.uint32)
    else:
        ids = np.unique(vectors.terms).astype(np.uint32)
    out = empty(vectors.nnz, np.uint16 if len(ids) <= 1 << 16 else np.uint32)
    if vectors.n_terms <= _DENSE_TERMS:
        number_of = np.zeros(vectors.n_terms, np.uint32)
        number_of[ids] = np.arange(len(ids), dtype=np.uint32)

        def convert(part: slice) -> None:
            kernels.number_terms(terms=vectors.terms[part], number_of=number_of, out=out[part])
    else:

        def convert(part: slice) -> None:
            out[part] = np.searchsorted(ids, vectors.terms[part])

    map_threads(convert, _chunks(vectors.nnz), threads)
    return ids, out
