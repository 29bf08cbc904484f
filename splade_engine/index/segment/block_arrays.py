"""The arrays of posting lists over blocks of alike documents, and the rules that make kernels safe on them.

The documents are put into an order in which neighbours are alike (`cohesion.py`): `block_docs[p]` is the
document at place p. 16 consecutive places are a block (BLOCK), 64 a group (LANES). An entry's weight is
rounded up to 8 bits, code * block_scales[t]; the entries of list t, by place, are
`block_codes[block_starts[t]]` to the next start.

A long list, with as many entries as there are groups, has a column, number block_columns[t]: `block_maxima`
holds its largest code in every block, `block_masks` the places that it has in every group, a bit for each,
and `block_runs` how many of its entries lie before the group. A short list (block_columns[t] = -1) has heads,
from `block_head_starts[t]` to the next start, one for each block in which it has entries: the block, a mask
of its documents, and their largest code.
A column costs 16 bytes a group and is read where a query visits; a head costs 7, and a query reads them all.

Lists may leave entries out (`prune.py`). `block_counts[t]` documents hold term t, `block_rests[t]` is the
largest weight that its list leaves out (0 where none is), and `block_unlisted` names the documents that have
terms and stand in no list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.kernels.block_sizes import BLOCK, LANES
from splade_engine.index.segment.arrays import (
    CHUNK,
    Arrays,
    ArraySpec,
    check_ascending,
    check_each,
    check_length,
    check_offsets,
)

STEP = LANES  # blocks whose bounds are looked at together
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
    return -(-n_docs // LANES)


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
    beyond = np.uint64(0) if n_docs % LANES == 0 else ~np.uint64(0) << np.uint64(n_docs % LANES)
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
