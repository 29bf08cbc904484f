"""Posting lists over blocks of alike documents: building and searching the arrays of `block_arrays.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.kernels.block_sizes import BLOCK
from splade_engine.index.segment.arrays import Arrays, Empty
from splade_engine.index.segment.block_arrays import STEP, n_blocks, n_groups
from splade_engine.index.segment.miss import Miss, find_miss
from splade_engine.index.segment.scratch import empty_query, room_for_candidates, room_for_terms

if TYPE_CHECKING:  # kernels need numba, which an index that is only looked at does not load
    from splade_engine.index.kernels.groups import Allowed, BlockScratch, Hits, Limits, Queries
    from splade_engine.index.lists import BlockLists
    from splade_engine.index.segment.rows import Rows

# of memory while lists are built: codes by row and by list, columns and heads; sketches and their clusters
_BYTES_PER_ENTRY = 12
_BYTES_PER_DOC = 384
_TABLE_TERMS = 1 << 22  # vocabularies up to this size get a table of term numbers (16 MiB at most)


def frequencies(arrays: Arrays, n_docs: int) -> NDArray[np.int64]:
    """int64[n_lists]: how many documents hold each term, those that its list leaves out included."""
    return np.asarray(arrays["block_counts"]).astype(np.int64)


def build_cost(nnz: int, n_docs: int) -> int:
    """Bytes of memory that `build` takes, beyond what lists in order of impact take."""
    return nnz * _BYTES_PER_ENTRY + n_docs * _BYTES_PER_DOC


def build(rows: Rows, n_lists: int, lists: BlockLists, threads: int, empty: Empty) -> dict[str, NDArray[Any]]:
    """The arrays of the lists of these rows, whose term numbers are not split."""
    from splade_engine.index.kernels import build as counting
    from splade_engine.index.kernels import order as kernels
    from splade_engine.index.segment.cohesion import cohesive_order
    from splade_engine.index.segment.prune import prune

    n_docs, nnz = len(rows.offsets) - 1, len(rows.terms)
    blocks, groups = n_blocks(n_docs), n_groups(n_docs)
    counts, largest = np.zeros(n_lists, np.int64), np.zeros(n_lists, np.float32)
    stored: dict[str, Any] = {
        "first": 0,
        "last": n_docs,
        "offsets": rows.offsets,
        "terms": rows.terms,
        "weights": rows.weights,
        "row_scales": rows.scales,
    }
    counting.count_window(**stored, counts=counts, largest=largest)
    scales = np.nextafter(largest / np.float32(255), np.float32(np.inf))  # so that 255 reaches the largest
    row_codes = empty(nnz, np.uint8)
    counting.encode_window(**stored, scales=scales, codes=row_codes, counts=np.zeros(256, np.int64))
    docs = np.arange(n_docs, dtype=np.uint32)
    if lists.order == "alike":
        docs = cohesive_order(rows, counts, lists, BLOCK, threads, empty)
    listed = prune(rows, row_codes, n_lists, lists)
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(listed.counts)))
    long = listed.counts >= max(1, groups)
    columns = np.where(long, np.cumsum(long) - 1, -1).astype(np.int32)
    n_long = int(long.sum())
    codes = empty(int(starts[-1]), np.uint8)
    maxima = empty(n_long * blocks, np.uint8)
    masks, runs = empty(n_long * groups, np.uint64), empty(n_long * groups, np.uint32)
    maxima[:], masks[:] = 0, 0
    entries: dict[str, Any] = {
        "docs": docs,
        "offsets": rows.offsets,
        "terms": rows.terms,
        "row_codes": row_codes,
        "columns": columns,
    }
    n_heads = np.zeros(n_lists, np.int64)
    kernels.count_heads(**entries, latest=np.full(n_lists, -1, np.int64), counts=n_heads)
    head_starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(n_heads)))
    total = int(head_starts[-1])
    heads, head_masks, head_maxima = empty(total, np.uint32), empty(total, np.uint16), empty(total, np.uint8)
    kernels.fill_lists(
        **entries,
        n_blocks=blocks,
        n_groups=groups,
        cursors=starts[:-1].copy(),
        codes=codes,
        maxima=maxima,
        masks=masks,
        latest=np.full(n_lists, -1, np.int64),
        head_cursors=head_starts[:-1].copy(),
        heads=heads,
        head_masks=head_masks,
        head_maxima=head_maxima,
    )
    kernels.count_runs(n_groups=groups, masks=masks, runs=runs)
    return {
        "block_starts": starts,
        "block_docs": docs,
        "block_codes": codes,
        "block_scales": scales,
        "block_counts": counts.astype(np.uint32),
        "block_rests": listed.rests,
        "block_unlisted": listed.unlisted,
        "block_columns": columns,
        "block_maxima": maxima,
        "block_masks": masks,
        "block_runs": runs,
        "block_head_starts": head_starts,
        "block_heads": heads,
        "block_head_masks": head_masks,
        "block_head_maxima": head_maxima,
    }


class BlockSearch:
    """The lists of an opened segment, as kernels take them."""

    def __init__(self, arrays: Arrays, n_docs: int, n_terms: int) -> None:
        from splade_engine.index.kernels.block_search import search_blocks
        from splade_engine.index.kernels.groups import Blocks

        self._search_blocks = search_blocks
        ids = np.asarray(arrays["term_ids"])
        number_of = np.zeros(0, np.int32)
        if n_terms <= _TABLE_TERMS:
            number_of = np.full(n_terms, -1, np.int32)
            number_of[ids] = np.arange(len(ids), dtype=np.int32)
        starts, columns = np.asarray(arrays["block_starts"]), np.asarray(arrays["block_columns"])
        self.lists = Blocks(
            number_of=number_of,
            term_ids=ids,
            docs=np.asarray(arrays["block_docs"]),
            n_blocks=n_blocks(n_docs),
            n_groups=n_groups(n_docs),
            starts=starts,
            codes=np.asarray(arrays["block_codes"]),
            scales=np.asarray(arrays["block_scales"]),
            rests=np.asarray(arrays["block_rests"]),
            columns=columns,
            maxima=np.asarray(arrays["block_maxima"]),
            masks=np.asarray(arrays["block_masks"]),
            runs=np.asarray(arrays["block_runs"]),
            head_starts=np.asarray(arrays["block_head_starts"]),
            heads=np.asarray(arrays["block_heads"]),
            head_masks=np.asarray(arrays["block_head_masks"]),
            head_maxima=np.asarray(arrays["block_head_maxima"]),
        )

    def scratch(self, query_terms: int, n_candidates: int) -> BlockScratch:
        """What a thread works in, for queries of so many terms."""
        from splade_engine.index.kernels.groups import BlockScratch
        from splade_engine.index.kernels.visit import VISIT

        blocks = self.lists.n_blocks
        sums = min(VISIT, max(blocks, STEP)) * BLOCK
        return BlockScratch(
            query=empty_query(len(self.lists.term_ids)),
            bounds=np.zeros(blocks, np.uint16),
            visited=np.empty(blocks, np.int64),
            slots=np.zeros(blocks, np.uint16),
            sums=np.empty(sums, np.uint16),
            terms=room_for_terms(query_terms),
            found=room_for_candidates(n_candidates, sums),  # a visit can add each of its documents once
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
        scratch: BlockScratch,
        hits: Hits,
    ) -> None:
        """Answer the queries `first` to `last` - 1 of a batch, into `hits`."""
        self._search_blocks(
            first=first,
            last=last,
            limits=limits,
            queries=queries,
            blocks=self.lists,
            rows=rows.arrays,
            allowed=allowed,
            scratch=scratch,
            hits=hits,
        )

    def miss(
        self, queries: Queries, limits: Limits, allowed: Allowed, doc: int, held: frozenset[int]
    ) -> Miss | None:
        """Why an approximate search for a batch of one did not score a document."""
        scratch = self.scratch(max(1, len(queries.terms)), limits.candidates)
        return find_miss(self.lists, scratch, limits, queries, allowed, doc, held)
