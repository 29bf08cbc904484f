"""Posting lists over blocks of alike documents, with what each block can score at most.

The documents are put into an order in which neighbours are alike (`cohesion.py`): `block_docs[p]` is the
document at place p. BLOCK consecutive places are a block, GROUP of them a group. An entry's weight is rounded
up to 8 bits, code * block_scales[t]; the entries of list t, by place, are `block_codes[block_starts[t]]` to
the next start.

A long list has a column, number block_columns[t]: `block_maxima` holds its largest code in every block,
`block_masks` the places that it has in every group, a bit for each, and `block_runs` how many of its entries
lie before the group. A short list (block_columns[t] = -1) has heads, from `block_head_starts[t]` to the next
start, one for each block in which it has entries: the block, a mask of its documents, and their largest code.

Lists may leave entries out (`prune.py`). `block_counts[t]` documents hold term t, `block_rests[t]` is the
largest weight that its list leaves out (0 where none is), and `block_unlisted` names the documents that have
terms and stand in no list.
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
    check_ascending,
    check_each,
    check_length,
    check_offsets,
)
from splade_engine.index.segment.miss import Miss, find_miss

if TYPE_CHECKING:  # kernels need numba, which an index that is only looked at does not load
    from splade_engine.index.kernels.groups import Allowed, BlockScratch, Hits, Limits, Queries
    from splade_engine.index.lists import BlockLists
    from splade_engine.index.segment.rows import Rows

BLOCK = 16  # documents: as many as one vector instruction adds up
GROUP = 64  # documents, a bit each of a word
STEP = 64  # blocks whose bounds are looked at together
# A list with fewer entries than groups is short: a column costs 16 bytes a group, a head 7 bytes,
# and a query reads a short list from end to end
SPARSE = 1
# of memory while lists are built: codes by row and by list, columns and heads; sketches and their clusters
_BYTES_PER_ENTRY = 12
_BYTES_PER_DOC = 384
_TABLE_TERMS = 1 << 22  # vocabularies up to this size get a table of term numbers (16 MiB at most)

ARRAYS = (
    ArraySpec("block_starts", "<i8"),
    ArraySpec("block_docs", "<u4"),
    ArraySpec("block_codes", "|u1"),
    ArraySpec("block_scales", "<f4"),
    ArraySpec("block_counts", "<u4"),
    ArraySpec("block_rests", "<f4"),
    ArraySpec("block_unlisted", "<u4"),
    ArraySpec("block_columns", "<i4"),
    ArraySpec("block_maxima", "|u1"),
    ArraySpec("block_masks", "<u8"),
    ArraySpec("block_runs", "<u4"),
    ArraySpec("block_head_starts", "<i8"),
    ArraySpec("block_heads", "<u4"),
    ArraySpec("block_head_masks", "<u2"),
    ArraySpec("block_head_maxima", "|u1"),
)


def n_groups(n_docs: int) -> int:
    """Number of groups that `n_docs` documents take."""
    return -(-n_docs // GROUP)


def n_blocks(n_docs: int) -> int:
    """Number of blocks that a column has: those of `n_docs` documents, rounded up to whole steps."""
    return -(-n_docs // (BLOCK * STEP)) * STEP


def check(arrays: Arrays, n_docs: int, nnz: int) -> None:
    """Check every property that the kernels rely on; rows and `term_ids` have passed theirs."""
    n_local = len(arrays["term_ids"])
    starts, columns, scales = arrays["block_starts"], arrays["block_columns"], arrays["block_scales"]
    check_offsets("block_starts", starts, n_local + 1, len(arrays["block_codes"]))
    check_length("block_scales", scales, n_local)
    check_each(
        "block_scales", scales, lambda part: (part > 0) & np.isfinite(part), "must be finite and above 0"
    )
    _check_left_out(arrays, n_docs, nnz)
    _check_docs(arrays["block_docs"], n_docs)
    check_length("block_columns", columns, n_local)
    long = columns >= 0
    expected = np.where(long, np.cumsum(long) - 1, -1)
    if not np.array_equal(columns, expected):
        at = int(np.argmax(columns != expected))
        raise IndexCorruptError(f"block_columns: must be -1 or the next number, at {at}: {columns[at]}")
    n_long = int(long.sum())
    check_length("block_maxima", arrays["block_maxima"], n_long * n_blocks(n_docs))
    _check_columns(arrays, np.diff(starts)[long], n_docs)
    _check_heads(arrays, n_docs)


def _check_left_out(arrays: Arrays, n_docs: int, nnz: int) -> None:
    """Lists hold no more than there is, and say what the largest weight is that they do not."""
    counts, rests, unlisted = arrays["block_counts"], arrays["block_rests"], arrays["block_unlisted"]
    lengths = np.diff(arrays["block_starts"])
    check_length("block_counts", counts, len(lengths))
    check_length("block_rests", rests, len(lengths))
    check_each("block_counts", counts, lambda part: part <= n_docs, f"must be at most {n_docs}")
    if int(counts.sum(dtype=np.int64)) != nnz:
        raise IndexCorruptError(f"block_counts: must add up to {nnz}, add up to {counts.sum(dtype=np.int64)}")
    more = lengths > counts
    if more.any():
        at = int(np.argmax(more))
        raise IndexCorruptError(f"block_counts: must be at least {lengths[at]}, at {at}: {counts[at]}")
    check_each("block_rests", rests, lambda part: (part >= 0) & np.isfinite(part), "must be finite, from 0")
    wrong = (rests > 0) != (counts > lengths)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise IndexCorruptError(f"block_rests: must be above 0 where entries are left out, at {at}")
    check_each("block_unlisted", unlisted, lambda part: part < n_docs, f"must be below {n_docs}")
    check_ascending("block_unlisted", unlisted, np.array([0, len(unlisted)]))


def _check_docs(docs: NDArray[Any], n_docs: int) -> None:
    check_length("block_docs", docs, n_docs)
    check_each("block_docs", docs, lambda part: part < n_docs, f"must be below {n_docs}")
    seen = np.zeros(n_docs, bool)
    for a in range(0, n_docs, CHUNK):
        part = docs[a : a + CHUNK]
        again = seen[part]
        seen[part] = True
        if again.any():
            raise IndexCorruptError(
                f"block_docs: must hold every document once, holds {part[int(np.argmax(again))]} again"
            )
    if not seen.all():
        raise IndexCorruptError(f"block_docs: must hold every document once, lacks {int(np.argmin(seen))}")


def _check_columns(arrays: Arrays, lengths: NDArray[np.int64], n_docs: int) -> None:
    """The bits of a column count the entries of its list, and none lies beyond the documents."""
    groups = n_groups(n_docs)
    masks, runs = arrays["block_masks"], arrays["block_runs"]
    check_length("block_masks", masks, len(lengths) * groups)
    check_length("block_runs", runs, len(lengths) * groups)
    step = max(1, CHUNK // (8 * max(1, groups)))
    beyond = np.uint64(0) if n_docs % GROUP == 0 else ~np.uint64(0) << np.uint64(n_docs % GROUP)
    for first in range(0, len(lengths), step):
        part = masks[first * groups : (first + step) * groups].reshape(-1, groups)
        bits = np.cumsum(np.bitwise_count(part), axis=1, dtype=np.int64)
        wrong = bits[:, -1] != lengths[first : first + step]
        if wrong.any():
            at = int(np.argmax(wrong))
            raise IndexCorruptError(
                f"block_masks: must have a bit for each of {lengths[first + at]} entries, column {first + at}"
                f" has {bits[at, -1]}"
            )
        if (part[:, -1] & beyond).any():
            at = int(np.argmax((part[:, -1] & beyond) != 0))
            raise IndexCorruptError(
                f"block_masks: must have no bit beyond the documents, column {first + at}"
            )
        counted = runs[first * groups : (first + step) * groups].reshape(-1, groups)
        if counted[:, 0].any() or not np.array_equal(counted[:, 1:], bits[:, :-1]):
            raise IndexCorruptError(
                f"block_runs: must count the bits before each group, from column {first} on"
            )


def _check_heads(arrays: Arrays, n_docs: int) -> None:
    """The heads of a short list ascend and count its entries; a long list has none."""
    starts, columns, heads = arrays["block_starts"], arrays["block_columns"], arrays["block_heads"]
    masks, begins = arrays["block_head_masks"], arrays["block_head_starts"]
    check_offsets("block_head_starts", begins, len(columns) + 1, len(heads))
    check_length("block_head_masks", masks, len(heads))
    check_length("block_head_maxima", arrays["block_head_maxima"], len(heads))
    last = (n_docs - 1) // BLOCK
    check_each("block_heads", heads, lambda part: part <= last, f"must be at most {last}")
    check_ascending("block_heads", heads, begins)
    entries = np.zeros(len(columns), np.int64)
    for a in range(0, len(heads), CHUNK >> 3):  # 8 bytes each while they are counted
        part = masks[a : a + (CHUNK >> 3)]
        bits = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bitwise_count(part), dtype=np.int64)))
        entries += np.diff(bits[np.clip(begins - a, 0, len(part))])
        if n_docs % BLOCK and (part[heads[a : a + len(part)] == last] >> np.uint16(n_docs % BLOCK)).any():
            raise IndexCorruptError("block_head_masks: must have no bit beyond the documents")
    expected = np.where(columns < 0, np.diff(starts), 0)
    if not np.array_equal(entries, expected):
        at = int(np.argmax(entries != expected))
        raise IndexCorruptError(
            f"block_head_masks: must have a bit for each of {expected[at]} entries,"
            f" list {at} has {entries[at]}"
        )


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
    long = listed.counts * SPARSE >= max(1, groups)
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
        from splade_engine.index.kernels.groups import BlockScratch, Candidates, Terms
        from splade_engine.index.kernels.visit import VISIT

        blocks = self.lists.n_blocks
        sums = min(VISIT, max(blocks, STEP)) * BLOCK
        room = n_candidates + sums
        numbers = np.empty((3, query_terms), np.int64)
        factors = np.empty((2, query_terms), np.float64)
        terms = Terms(
            numbers=numbers[0],
            factors=factors[0],
            priorities=factors[1],
            multipliers=numbers[1],
            lowest=numbers[2],
        )
        bounds, work = np.empty((2, room), np.uint16)
        return BlockScratch(
            table=np.zeros(len(self.lists.term_ids), np.float32),
            bounds=np.zeros(blocks, np.uint16),
            visited=np.empty(blocks, np.int64),
            slots=np.zeros(blocks, np.uint16),
            sums=np.empty(sums, np.uint16),
            terms=terms,
            found=Candidates(docs=np.empty(room, np.int64), bounds=bounds, work=work),
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
