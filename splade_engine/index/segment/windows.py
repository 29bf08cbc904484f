"""Posting lists in windows: what each term weighs in which documents, heaviest first.

An entry's weight is rounded up to 8 bits, code * list_scales[t]: an upper bound. A list is cut at every
WINDOW documents, so that a document fits 16 bits and the scores of a window stay in cache: the entries of
term t in window w are `list_offsets[t * n_windows + w]` to the next offset, heaviest first, so that a search
may stop where they no longer matter. `list_levels[t * N_LEVELS + i]` is the code of the entry of rank 64 << i
of the whole list (0 beyond its end): how many entries a threshold leaves can be told without reading them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.segment.arrays import (
    CHUNK,
    Arrays,
    ArraySpec,
    Empty,
    check_each,
    check_falling,
    check_length,
    check_offsets,
)
from splade_engine.index.segment.scratch import empty_query, room_for_candidates, room_for_terms
from splade_engine.index.segment.threads import map_threads

if TYPE_CHECKING:  # kernels need numba, which an index that is only looked at does not load
    from splade_engine.index.kernels.groups import Allowed, Hits, Limits, Queries, Scratch
    from splade_engine.index.lists import ImpactLists
    from splade_engine.index.segment.miss import Miss
    from splade_engine.index.segment.rows import Rows

WINDOW = 65536  # documents whose number fits 16 bits
N_LEVELS = 16  # the last is rank 2,097,152
_TABLE_TERMS = 1 << 22  # vocabularies up to this size get a table of term numbers (16 MiB at most)

ARRAYS = (
    ArraySpec("list_offsets", "<i8"),
    ArraySpec("list_scales", "<f4"),
    ArraySpec("list_levels", "|u1"),
    ArraySpec("list_docs", "<u2"),
    ArraySpec("list_codes", "|u1"),
)


def n_windows(n_docs: int) -> int:
    """Number of windows that `n_docs` documents take."""
    return -(-n_docs // WINDOW)


def check(arrays: Arrays, n_docs: int, nnz: int) -> None:
    """Check every property that the kernels rely on; rows and `term_ids` have passed theirs."""
    n_local, windows = len(arrays["term_ids"]), n_windows(n_docs)
    offsets, docs, scales = arrays["list_offsets"], arrays["list_docs"], arrays["list_scales"]
    check_length("list_docs", docs, nnz)
    check_length("list_codes", arrays["list_codes"], nnz)
    check_offsets("list_offsets", offsets, n_local * windows + 1, nnz)
    check_length("list_scales", scales, n_local)
    check_each(
        "list_scales", scales, lambda part: (part > 0) & np.isfinite(part), "must be finite and above 0"
    )
    check_length("list_levels", arrays["list_levels"], n_local * N_LEVELS)
    check_falling("list_codes", arrays["list_codes"], offsets)
    # documents in the last window: only there can a number be too large
    last = n_docs - (windows - 1) * WINDOW
    if windows == 1:
        check_each("list_docs", docs, lambda part: part < last, f"must be below {last} in the last window")
    elif windows and last < WINDOW:
        _check_last_window(docs, offsets, windows, last)


def _check_last_window(docs: NDArray[Any], offsets: NDArray[Any], windows: int, last: int) -> None:
    starts, ends = offsets[windows - 1 : -1 : windows], offsets[windows::windows]
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(ends - starts)))
    first = 0
    while first < len(starts):
        # as many lists as hold some 1 M entries: each takes 24 bytes while its place is worked out
        stop = int(np.searchsorted(before, before[first] + (CHUNK >> 2), side="right")) - 1
        part = slice(first, max(stop, first + 1))
        base = before[part] - before[first]
        entries = np.repeat(starts[part] - base, ends[part] - starts[part])
        entries += np.arange(len(entries))
        large = docs[entries] >= last
        if large.any():
            at = int(entries[int(np.argmax(large))])
            raise IndexCorruptError(
                f"list_docs: must be below {last} in the last window, at {at}: {docs[at]}"
            )
        first = part.stop


def frequencies(arrays: Arrays, n_docs: int) -> NDArray[np.int64]:
    """int64[n_lists]: how many documents each list holds."""
    return np.diff(arrays["list_offsets"][:: max(1, n_windows(n_docs))])


def build(
    rows: Rows, n_lists: int, lists: ImpactLists, threads: int, empty: Empty
) -> dict[str, NDArray[Any]]:
    """The arrays of the lists of these rows, whose term numbers are not split."""
    from splade_engine.index.kernels import build as kernels

    n_docs = len(rows.offsets) - 1
    windows = n_windows(n_docs)
    offsets, terms, weights = rows.offsets, rows.terms, rows.weights
    bounds = [(w * WINDOW, min((w + 1) * WINDOW, n_docs)) for w in range(windows)]

    def count(window: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        counts, largest = np.zeros(n_lists, np.int64), np.zeros(n_lists, np.float32)
        first, last = bounds[window]
        kernels.count_window(
            first=first,
            last=last,
            offsets=offsets,
            terms=terms,
            weights=weights,
            row_scales=rows.scales,
            counts=counts,
            largest=largest,
        )
        return counts, largest

    counted = map_threads(count, range(windows), threads)
    counts = np.zeros((n_lists, windows), np.int64)
    largest = np.zeros(n_lists, np.float32)
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
        kernels.encode_window(
            first=first,
            last=last,
            offsets=offsets,
            terms=terms,
            weights=weights,
            row_scales=rows.scales,
            scales=scales,
            codes=given,
            counts=by_code,
        )
        sorted_terms, sorted_docs, sorted_codes = (
            empty(end - begin, kind) for kind in (terms.dtype, np.uint16, np.uint8)
        )
        kernels.sort_by_code(
            first=first,
            last=last,
            offsets=offsets,
            terms=terms,
            codes=given,
            cursors=np.concatenate((np.cumsum(by_code[::-1])[-2::-1], [0])),
            sorted_terms=sorted_terms,
            sorted_docs=sorted_docs,
            sorted_codes=sorted_codes,
        )
        kernels.sort_by_term(
            terms=sorted_terms,
            docs=sorted_docs,
            codes=sorted_codes,
            cursors=starts[:-1].reshape(n_lists, windows)[:, window].copy(),
            out_docs=docs,
            out_codes=codes,
        )

    map_threads(fill, range(windows), threads)
    levels = np.zeros(n_lists * N_LEVELS, np.uint8)

    def mark(part: slice) -> None:
        kernels.mark_levels(
            first=part.start,
            last=part.stop,
            windows=windows,
            offsets=starts,
            codes=codes,
            counts=np.zeros(256, np.int64),
            levels=levels,
        )

    if windows:
        map_threads(mark, [slice(a, min(a + 1024, n_lists)) for a in range(0, n_lists, 1024)], threads)
    return {
        "list_offsets": starts,
        "list_scales": scales,
        "list_levels": levels,
        "list_docs": docs,
        "list_codes": codes,
    }


class WindowSearch:
    """The lists of an opened segment, as kernels take them."""

    def __init__(self, arrays: Arrays, n_docs: int, n_terms: int) -> None:
        from splade_engine.index.kernels.groups import Lists
        from splade_engine.index.kernels.search import search_queries

        self._search_queries = search_queries
        self._n_docs = n_docs
        ids = np.asarray(arrays["term_ids"])
        number_of = np.zeros(0, np.int32)
        if n_terms <= _TABLE_TERMS:
            number_of = np.full(n_terms, -1, np.int32)
            number_of[ids] = np.arange(len(ids), dtype=np.int32)
        self.lists = Lists(
            number_of=number_of,
            term_ids=ids,
            window=WINDOW,
            windows=n_windows(n_docs),
            offsets=np.asarray(arrays["list_offsets"]),
            docs=np.asarray(arrays["list_docs"]),
            codes=np.asarray(arrays["list_codes"]),
            scales=np.asarray(arrays["list_scales"]),
            levels=np.asarray(arrays["list_levels"]),
            n_levels=N_LEVELS,
        )

    def scratch(self, query_terms: int, n_candidates: int) -> Scratch:
        """What a thread works in, for queries of so many terms."""
        from splade_engine.index.kernels.groups import Active, Scratch

        numbers, multipliers, lowest, ends = np.empty((4, query_terms), np.int64)
        return Scratch(
            query=empty_query(len(self.lists.term_ids)),
            bounds=np.zeros(min(WINDOW, -(-self._n_docs // 64) * 64), np.uint16),
            histogram=np.empty(512, np.float64),
            terms=room_for_terms(query_terms),
            active=Active(numbers=numbers, multipliers=multipliers, lowest=lowest, ends=ends),
            found=room_for_candidates(n_candidates, WINDOW),  # a window can add each of its documents once
            best=np.empty(n_candidates, np.uint64),
        )

    def search(
        self,
        first: int,
        last: int,
        limits: Limits,
        queries: Queries,
        rows: Rows,
        allowed: Allowed,
        scratch: Scratch,
        hits: Hits,
    ) -> None:
        """Answer the queries `first` to `last` - 1 of a batch, into `hits`."""
        self._search_queries(
            first=first,
            last=last,
            limits=limits,
            queries=queries,
            lists=self.lists,
            rows=rows.arrays,
            allowed=allowed,
            scratch=scratch,
            hits=hits,
        )

    def miss(
        self, queries: Queries, limits: Limits, allowed: Allowed, doc: int, held: frozenset[int]
    ) -> Miss | None:
        """Why an approximate search for a batch of one did not score a document."""
        from splade_engine.index.segment.window_miss import find_miss

        scratch = self.scratch(max(1, len(queries.terms)), limits.candidates)
        return find_miss(self.lists, scratch, limits, queries, allowed, doc, self._n_docs)
