"""Blocks of alike documents: what each can score at most, which are visited, and the sums in those.

A bound is a sum of upper bounds, each rounded down: it is too small by less than 1 for each of the query's
terms (`slack`), and a score of at least x, in units of bounds, needs one of at least x - slack.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.block_sizes import BLOCK, LANES
from splade_engine.index.kernels.dtypes import i8, u2, u2_r
from splade_engine.index.kernels.groups import Allowed, Blocks, BlockScratch
from splade_engine.index.kernels.jit import helper, prefetch
from splade_engine.index.kernels.lanes import add_codes, add_spread, count_bits, which_reach
from splade_engine.index.kernels.split import lowest_bit

VISIT = 4096  # blocks whose sums are held at a time: 128 KiB, which stay in the second-level cache
AHEAD_IN_COLUMN = 1024  # bytes of a column that are asked for ahead of their turn: pages end every 4096
AHEAD = 10  # blocks whose codes are asked for ahead of their turn; their masks twice as far


@helper
def bound_blocks(blocks: Blocks, count: i8, scratch: BlockScratch) -> None:
    """scratch.bounds: for each block the sum of the largest codes of `count` lists, times multipliers."""
    bounds, terms = scratch.bounds, scratch.terms
    for i in range(count):
        t = terms.numbers[i]
        column = int(blocks.columns[np.uint64(t)])
        if column >= 0:
            for a in range(0, min(AHEAD_IN_COLUMN, blocks.n_blocks), LANES):
                prefetch(blocks.maxima, column * blocks.n_blocks + a)
        else:
            for j in range(
                blocks.head_starts[t], min(blocks.head_starts[t + 1], blocks.head_starts[t] + 128), 16
            ):
                prefetch(blocks.heads, j)
    for a in range(np.uint64(blocks.n_blocks)):
        bounds[a] = np.uint16(0)
    for i in range(count):
        t, multiplier = terms.numbers[i], terms.multipliers[i]
        column = int(blocks.columns[np.uint64(t)])
        if column >= 0:
            first = column * blocks.n_blocks
            for a in range(0, blocks.n_blocks, LANES):
                prefetch(blocks.maxima, first + a + AHEAD_IN_COLUMN)
                add_codes(bounds, a, blocks.maxima, first + a, np.uint16(multiplier))
        else:
            bound_short(blocks, t=t, multiplier=multiplier, scratch=scratch)


@helper
def bound_short(blocks: Blocks, t: i8, multiplier: i8, scratch: BlockScratch) -> None:
    """Add the largest code that short list t has in each block."""
    bounds, heads, maxima = scratch.bounds, blocks.heads, blocks.head_maxima
    for j in range(np.uint64(blocks.head_starts[t]), np.uint64(blocks.head_starts[t + 1])):
        bounds[np.uint64(heads[j])] += np.uint16((multiplier * np.int64(maxima[j])) >> 8)


@helper
def clear_blocks(blocks: Blocks, allowed: Allowed, scratch: BlockScratch) -> None:
    """Set the bounds of blocks to 0 that hold no document that may be returned."""
    if len(allowed.mask) == 0:
        return
    n_docs = len(blocks.docs)
    for block in range((n_docs + BLOCK - 1) // BLOCK):
        if scratch.bounds[block] > np.uint16(0):
            good = False
            for place in range(block * BLOCK, min((block + 1) * BLOCK, n_docs)):
                if allowed.mask[np.uint64(blocks.docs[np.uint64(place)])]:
                    good = True
                    break
            if not good:
                scratch.bounds[block] = np.uint16(0)


@helper
def count_reaching(values: u2_r, n: i8, threshold: u2) -> i8:
    """How many of values[:n] are at least `threshold`; n is a multiple of LANES."""
    count = np.uint64(0)
    for a in range(0, n, LANES):
        count += count_bits(which_reach(values, a, threshold))
    return int(np.int64(count))


@helper
def least_of_largest(values: u2_r, n: i8, wanted: i8) -> u2:
    """A value that at least `wanted` of values[:n] reach, or 1 where fewer are above 0.

    n is a multiple of LANES. Found by bisection, and within 1/64 of the largest such value.
    """
    low, high = 1, 65536
    while high - low > 1 + (low >> 6):
        middle = (low + high) >> 1
        if count_reaching(values, n=n, threshold=np.uint16(middle)) >= wanted:
            low = middle
        else:
            high = middle
    return np.uint16(low)


@helper
def choose_blocks(blocks: Blocks, threshold: u2, scratch: BlockScratch) -> i8:
    """The blocks whose bound is at least `threshold` (1 or more), ascending; returns how many."""
    count = 0
    for a in range(0, blocks.n_blocks, LANES):
        word = which_reach(scratch.bounds, a, threshold)
        while word != np.uint64(0):
            scratch.visited[count] = a + np.int64(lowest_bit(word))
            word &= word - np.uint64(1)
            count += 1
    return count


@helper
def visit_blocks(blocks: Blocks, begin: i8, end: i8, count: i8, scratch: BlockScratch) -> i8:
    """The sums of `count` lists for the documents of the visited blocks begin..end-1, of at most VISIT.

    Those of block visited[begin + v] are the BLOCK sums from v * BLOCK on. Returns where the last ends,
    rounded up to a multiple of LANES; all others before it are 0.
    """
    terms, sums = scratch.terms, scratch.sums
    n = (((end - begin) * BLOCK + LANES - 1) // LANES) * LANES
    for a in range(np.uint64(n)):
        sums[a] = np.uint16(0)
    for v in range(begin, end):
        scratch.slots[np.uint64(scratch.visited[v])] = np.uint16(v - begin + 1)
    prefetch_first(blocks, begin=begin, end=end, count=count, scratch=scratch)
    for i in range(count):
        t = terms.numbers[i]
        column = int(blocks.columns[np.uint64(t)])
        if column >= 0:
            visit_column(
                *(blocks, t, column, np.uint16(terms.multipliers[i]), begin, end, scratch),
            )
        else:
            visit_short(blocks, t=t, multiplier=np.uint16(terms.multipliers[i]), scratch=scratch)
    for v in range(begin, end):
        scratch.slots[np.uint64(scratch.visited[v])] = np.uint16(0)
    return n


@helper
def prefetch_first(blocks: Blocks, begin: i8, end: i8, count: i8, scratch: BlockScratch) -> None:
    """Ask for what the first visits of every column read; within a column each visit asks for later ones."""
    terms, visited = scratch.terms, scratch.visited
    for i in range(count):
        t = terms.numbers[i]
        first = int(blocks.columns[np.uint64(t)]) * blocks.n_groups
        if first >= 0:
            for v in range(begin, min(begin + 2 * AHEAD, end)):
                prefetch(blocks.masks, first + (visited[v] >> 2))
                prefetch(blocks.runs, first + (visited[v] >> 2))
    for i in range(count):
        t = terms.numbers[i]
        first = int(blocks.columns[np.uint64(t)]) * blocks.n_groups
        if first >= 0:
            for v in range(begin, min(begin + AHEAD, end)):
                run = np.int64(blocks.runs[np.uint64(first + (visited[v] >> 2))])
                prefetch(blocks.codes, blocks.starts[t] + run)


@helper
def visit_column(
    blocks: Blocks, t: i8, column: i8, multiplier: u2, begin: i8, end: i8, scratch: BlockScratch
) -> None:
    """Add what long list t, of that column, has in the visited blocks begin..end-1."""
    first, start = column * blocks.n_groups, blocks.starts[t]
    visited, sums = scratch.visited, scratch.sums
    for v in range(begin, end):
        if v + 2 * AHEAD < end:
            group = first + (visited[v + 2 * AHEAD] >> 2)
            prefetch(blocks.masks, group)
            prefetch(blocks.runs, group)
        if v + AHEAD < end:
            group = first + (visited[v + AHEAD] >> 2)
            prefetch(blocks.codes, start + int(np.int64(blocks.runs[np.uint64(group)])))
        block = visited[v]
        at = np.uint64(first + (block >> 2))
        mask = blocks.masks[at]
        shift = np.uint64((block & 3) * BLOCK)
        below = count_bits(mask & ((np.uint64(1) << shift) - np.uint64(1)))
        entry = start + int(np.int64(blocks.runs[at])) + int(np.int64(below))
        add_spread(sums, (v - begin) * BLOCK, blocks.codes, entry, mask >> shift, multiplier)


@helper
def visit_short(blocks: Blocks, t: i8, multiplier: u2, scratch: BlockScratch) -> None:
    """Add what short list t has in the visited blocks, where slots say which these are."""
    slots, heads, masks = scratch.slots, blocks.heads, blocks.head_masks
    entry = int(blocks.starts[t])
    for j in range(np.uint64(blocks.head_starts[t]), np.uint64(blocks.head_starts[t + 1])):
        slot = np.int64(slots[np.uint64(heads[j])])
        mask = np.uint64(masks[j])
        if slot > 0:
            add_spread(scratch.sums, int(slot - 1) * BLOCK, blocks.codes, entry, mask, multiplier)
        entry += int(np.int64(count_bits(mask)))


@helper
def drop_forbidden(blocks: Blocks, begin: i8, n: i8, allowed: Allowed, scratch: BlockScratch) -> None:
    """Set the sums of documents to 0, of the `n` from visited block `begin` on, that may not be returned."""
    if len(allowed.mask) == 0:
        return
    for at in range(n):
        if scratch.sums[at] > np.uint16(0):
            place = scratch.visited[begin + at // BLOCK] * BLOCK + at % BLOCK
            if not allowed.mask[np.uint64(blocks.docs[np.uint64(place)])]:
                scratch.sums[at] = np.uint16(0)


@helper
def take_sums(blocks: Blocks, begin: i8, n: i8, threshold: u2, count: i8, scratch: BlockScratch) -> i8:
    """Append documents of sums of at least `threshold` (1 or more) to the `count` found.

    Looked at are the `n` sums from visited block `begin` on. Returns the new count.
    """
    found = scratch.found
    for a in range(0, n, LANES):
        word = which_reach(scratch.sums, a, threshold)
        while word != np.uint64(0):
            at = a + np.int64(lowest_bit(word))
            word &= word - np.uint64(1)
            place = scratch.visited[begin + at // BLOCK] * BLOCK + at % BLOCK
            found.docs[count] = np.int64(blocks.docs[np.uint64(place)])
            found.bounds[count] = scratch.sums[np.uint64(at)]
            count += 1
    return count
