"""Twins of kernels/visit.py: lists as one code for every place."""

from __future__ import annotations

import numpy as np

BLOCK = 16


def codes_of(blocks, t):
    """int64[blocks x BLOCK]: the code that list t has at each place, 0 where it has none."""
    begin, end = blocks.starts[t], blocks.starts[t + 1]
    bits = np.zeros((blocks.n_blocks, BLOCK), bool)
    column = int(blocks.columns[t])
    if column >= 0:
        masks = blocks.masks[column * blocks.n_groups : (column + 1) * blocks.n_groups]
        flat = np.unpackbits(masks.view(np.uint8), bitorder="little")
        bits.reshape(-1)[: len(flat)] = flat
    else:
        heads = slice(blocks.head_starts[t], blocks.head_starts[t + 1])
        for block, mask in zip(blocks.heads[heads], blocks.head_masks[heads], strict=True):
            bits[block] = [int(mask) >> i & 1 for i in range(BLOCK)]
    found = np.zeros(bits.size, np.int64)
    found[bits.reshape(-1)] = blocks.codes[begin:end]
    return found


def maxima_of(blocks, t):
    """int64[blocks]: the largest code of list t in each block, by the codes themselves."""
    return codes_of(blocks, t).reshape(-1, BLOCK).max(axis=1)


def _products(codes, multiplier):
    return ((codes * int(multiplier)) >> 8).astype(np.uint16)


def bound_blocks(blocks, count, scratch):
    scratch.bounds[: blocks.n_blocks] = 0
    for t, multiplier in zip(scratch.terms.numbers[:count], scratch.terms.multipliers, strict=False):
        scratch.bounds[: blocks.n_blocks] += _products(maxima_of(blocks, t), multiplier)


def bound_short(blocks, t, multiplier, scratch):
    scratch.bounds[: blocks.n_blocks] += _products(maxima_of(blocks, t), multiplier)


def may_return(blocks, allowed):
    """bool[blocks, BLOCK]: which places hold documents that may be returned."""
    may = np.zeros(blocks.n_blocks * BLOCK, bool)
    may[: len(blocks.docs)] = True if len(allowed.mask) == 0 else allowed.mask[blocks.docs] > 0
    return may.reshape(-1, BLOCK)


def clear_blocks(blocks, allowed, scratch):
    if len(allowed.mask):
        scratch.bounds[: blocks.n_blocks][~may_return(blocks, allowed).any(axis=1)] = 0


def count_reaching(values, n, threshold):
    return int((values[:n] >= threshold).sum())


def least_of_largest(values, n, wanted):
    """Bisection towards the value of that rank, which it ends a 64th below at most."""
    ranked = np.sort(values[:n])[::-1]
    exact = int(ranked[wanted - 1]) if wanted <= n else 0
    low, high = 1, 65536
    while high - low > 1 + (low >> 6):
        middle = (low + high) >> 1
        low, high = (middle, high) if middle <= exact else (low, middle)
    return low


def choose_blocks(blocks, threshold, scratch):
    found = np.flatnonzero(scratch.bounds[: blocks.n_blocks] >= threshold)
    scratch.visited[: len(found)] = found
    return len(found)


def _visited(begin, end, scratch):
    return scratch.visited[begin:end].astype(int)


def visit_blocks(blocks, begin, end, count, scratch):
    n = -(-(end - begin) * BLOCK // 64) * 64
    scratch.sums[:n] = 0
    for t, multiplier in zip(scratch.terms.numbers[:count], scratch.terms.multipliers, strict=False):
        codes = codes_of(blocks, t).reshape(-1, BLOCK)[_visited(begin, end, scratch)]
        scratch.sums[: codes.size] += _products(codes.reshape(-1), multiplier)
    scratch.slots[:] = 0
    return n


def prefetch_first(blocks, begin, end, count, scratch):
    """Nothing but time changes."""


def visit_column(blocks, t, column, multiplier, begin, end, scratch):
    codes = codes_of(blocks, t).reshape(-1, BLOCK)[_visited(begin, end, scratch)]
    scratch.sums[: codes.size] += _products(codes.reshape(-1), multiplier)


def visit_short(blocks, t, multiplier, scratch):
    codes = codes_of(blocks, t).reshape(-1, BLOCK)
    for block in np.flatnonzero(scratch.slots):
        at = (int(scratch.slots[block]) - 1) * BLOCK
        scratch.sums[at : at + BLOCK] += _products(codes[block], multiplier)


def drop_forbidden(blocks, begin, n, allowed, scratch):
    places = min(n // BLOCK, len(scratch.visited) - begin)
    may = may_return(blocks, allowed)[_visited(begin, begin + places, scratch)].reshape(-1)
    held = scratch.sums[: len(may)]
    if len(allowed.mask):
        held[(held > 0) & ~may] = 0


def take_sums(blocks, begin, n, threshold, count, scratch):
    for at in np.flatnonzero(scratch.sums[:n] >= threshold):
        place = int(scratch.visited[begin + at // BLOCK]) * BLOCK + at % BLOCK
        scratch.found.docs[count], scratch.found.bounds[count] = blocks.docs[place], scratch.sums[at]
        count += 1
    return count
