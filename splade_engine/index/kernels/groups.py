"""The arrays and numbers that search kernels take, grouped by what they belong to.

Each is made once where its arrays are: `Lists` and `Rows` for an opened segment, `Scratch` for a thread,
`Queries`, `Limits`, `Allowed` and `Hits` for a batch.
"""

from __future__ import annotations

from typing import NamedTuple

from splade_engine.index.kernels.dtypes import (
    b1,
    f4_2d_w,
    f4_r,
    f4_w,
    f8_w,
    group,
    i4_r,
    i8,
    i8_2d_w,
    i8_r,
    i8_w,
    u1_r,
    u2_r,
    u2_w,
    u4_r,
    u8_r,
    u8_w,
)
from splade_engine.index.kernels.weights import Weights


@group
class Queries(NamedTuple):
    """A batch of query vectors, as compressed sparse rows."""

    offsets: i8_r
    terms: i4_r
    weights: f4_r


@group
class Limits(NamedTuple):
    """How much work a search may be."""

    exact: b1
    # list entries walked, and documents scored, where it is not exact
    postings: i8
    candidates: i8


@group
class Lists(NamedTuple):
    """The inverted lists of a segment (`segment/windows.py`)."""

    # term id -> number of its list, -1 where there is none; empty in a huge vocabulary
    number_of: i4_r
    # number of a list -> term id, ascending
    term_ids: u4_r
    # documents in a window, and how many windows there are
    window: i8
    windows: i8
    # list t in window w: entries offsets[t * windows + w] to the next offset, codes falling
    offsets: i8_r
    docs: u2_r
    codes: u1_r
    # list t: weight <= code * scales[t]
    scales: f4_r
    # levels[t * n_levels + i]: the code at rank 64 << i of list t
    levels: u1_r
    n_levels: i8


@group
class Blocks(NamedTuple):
    """The lists of a segment over documents in an order of their own (`segment/block_arrays.py`)."""

    # term id -> number of its list, -1 where there is none; empty in a huge vocabulary
    number_of: i4_r
    # number of a list -> term id, ascending
    term_ids: u4_r
    # place in the order -> document
    docs: u4_r
    # blocks of documents, rounded up so that a step over many stays within; and groups of four blocks
    n_blocks: i8
    n_groups: i8
    # list t: entries starts[t] to starts[t + 1] of codes, by place; weight <= code * scales[t]
    starts: i8_r
    codes: u1_r
    scales: f4_r
    # list t: the largest weight that it leaves out, 0 where it holds every document of its term
    rests: f4_r
    # list t, where it is long: its column; -1 where it is short
    columns: i4_r
    # column c, block b: the largest code, at c * n_blocks + b
    maxima: u1_r
    # column c, group g, at c * n_groups + g: which places it holds, and how many entries lie before them
    masks: u8_r
    runs: u4_r
    # short list t: heads head_starts[t] to head_starts[t + 1], one for each block in which it has entries:
    # which block, which of its documents, and their largest code
    head_starts: i8_r
    heads: u4_r
    head_masks: u2_r
    head_maxima: u1_r


@group
class Rows(NamedTuple):
    """The documents of a segment; how they are stored is told by dtypes."""

    # row d: entries offsets[d] to the next offset
    offsets: i8_r
    # term numbers, or their lower bits
    terms: u1_r | u2_r | u4_r
    # the bits of the upper parts (`split.py`), uint8[0] where numbers are whole; how many parts there may be
    blocks: u1_r | u8_r
    n_blocks: i8
    # see `weights.py`; where they are codes, weight = code * scales[d]
    weights: Weights
    scales: f4_r


@group
class Allowed(NamedTuple):
    """The documents that may be returned."""

    # by document, not 0 where it may; empty where all may
    mask: u1_r
    total: i8


@group
class Terms(NamedTuple):
    """Scratch: the terms of one query that the segment knows."""

    numbers: i8_w
    # what one code of a list adds to a score; what walking it is worth; what it adds to a bound, times 256
    factors: f8_w
    priorities: f8_w
    multipliers: i8_w
    # the code down to which a list is read
    lowest: i8_w


@group
class Active(NamedTuple):
    """Scratch: the lists that are walked, down to which code, and where walking a window's part ended."""

    numbers: i8_w
    multipliers: i8_w
    lowest: i8_w
    ends: i8_w


@group
class Candidates(NamedTuple):
    """Scratch: documents with their bounds."""

    docs: i8_w
    bounds: u2_w
    work: u2_w


@group
class Query(NamedTuple):
    """Scratch: one query, as rows are scored by it; all zero before and after every query."""

    # the weight of every term number
    table: f4_w
    # which term numbers have one, as far as they can be told apart (`sieve.py`)
    sieve: u2_w
    # partial sums of a score
    sums: f4_w


@group
class Scratch(NamedTuple):
    """What a thread works in; `query` and `bounds` are zero before and after every query."""

    query: Query
    # the bound of every document of a window
    bounds: u2_w
    histogram: f8_w
    terms: Terms
    active: Active
    found: Candidates
    # the k best hits so far (`heap.py`)
    best: u8_w


@group
class BlockScratch(NamedTuple):
    """What a thread works in; `query` and `slots` are zero before and after every query."""

    query: Query
    # what a document of each block can score at most
    bounds: u2_w
    # the blocks that are visited, and where the sums of a block lie, plus 1
    visited: i8_w
    slots: u2_w
    # of the documents of visited blocks
    sums: u2_w
    terms: Terms
    found: Candidates
    # the k best hits so far (`heap.py`)
    best: u8_w


@group
class Hits(NamedTuple):
    """Results: a row for each query, -1 and -inf where there are fewer hits than asked for."""

    docs: i8_2d_w
    scores: f4_2d_w
    # documents whose full dot product was computed
    scored: i8_w
