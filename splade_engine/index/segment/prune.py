"""Which entries the lists of a segment leave out, by the parameters of `BlockLists`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.kernels import prune as kernels
from splade_engine.index.lists import BlockLists
from splade_engine.index.segment.arrays import CHUNK
from splade_engine.index.segment.rows import Rows


class Listed(NamedTuple):
    """What is left in the lists."""

    # int64[n_lists]: entries of each list
    counts: NDArray[np.int64]
    # float32[n_lists]: the largest weight that it leaves out, 0 where it leaves out nothing
    rests: NDArray[np.float32]
    # uint32: documents that have terms and stand in no list, ascending
    unlisted: NDArray[np.uint32]


def prune(rows: Rows, codes: NDArray[np.uint8], n_lists: int, lists: BlockLists) -> Listed:
    """Set the codes of entries that are left out to 0.

    Args:
        rows: the documents, whose term numbers are not split.
        codes: uint8[nnz], above 0: the weight of each entry, as a list has it.
        n_lists: how many lists there are.
        lists: how much they keep.
    """
    stored: dict[str, Any] = {"offsets": rows.offsets, "weights": rows.weights, "row_scales": rows.scales}
    if lists.energy < 1.0:
        kernels.prune_rows(
            **stored, energy=lists.energy, masses=np.empty(kernels.STEPS, np.float64), codes=codes
        )
    if lists.mean_postings is not None and len(codes):
        _prune_weights(stored, codes, n_lists * lists.mean_postings)
    if lists.cap is not None:
        _cap(rows.terms, codes, n_lists, lists.cap)
    n_docs = len(rows.offsets) - 1
    counts, rests = np.zeros(n_lists, np.int64), np.zeros(n_lists, np.float32)
    in_lists = np.zeros(n_docs, np.uint32)
    kernels.count_listed(
        offsets=rows.offsets,
        terms=rows.terms,
        weights=rows.weights,
        row_scales=rows.scales,
        codes=codes,
        listed=counts,
        rests=rests,
        in_lists=in_lists,
    )
    unlisted = np.flatnonzero((in_lists == 0) & (np.diff(rows.offsets) > 0)).astype(np.uint32)
    return Listed(counts, rests, unlisted)


def _prune_weights(stored: dict[str, Any], codes: NDArray[np.uint8], wanted: int) -> None:
    """Leave out the lightest entries of all; what lies in the last bin that is needed stays together."""
    largest = np.zeros(1, np.float32)
    kernels.find_largest(**stored, largest=largest)
    counts = np.zeros(kernels.BINS, np.int64)
    kernels.count_weights(**stored, largest=largest[0], codes=codes, counts=counts)
    kept = np.cumsum(counts[::-1])
    bins = int(np.searchsorted(kept, wanted)) + 1  # as many, from the top, hold what is wanted
    if bins < kernels.BINS:
        kernels.prune_weights(**stored, largest=largest[0], lowest=kernels.BINS - bins, codes=codes)


def _cap(terms: NDArray[Any], codes: NDArray[np.uint8], n_lists: int, cap: int) -> None:
    """Leave the largest `cap` entries in each list, of equal ones the first."""
    lengths = np.zeros(n_lists, np.int64)
    for a in range(0, len(terms), CHUNK):
        part = slice(a, a + CHUNK)
        lengths += np.bincount(terms[part][codes[part] > 0], minlength=n_lists)
    long = np.flatnonzero(lengths > cap)
    if not len(long):
        return
    places = np.full(n_lists, -1, np.int64)
    places[long] = np.arange(len(long))
    counts = np.zeros(len(long) * 256, np.int64)
    kernels.count_codes(terms=terms, codes=codes, places=places, counts=counts)
    by_code = counts.reshape(len(long), 256)
    by_code[:, 0] = 0  # left out already
    kept = np.cumsum(by_code[:, ::-1], axis=1)
    steps = np.argmax(kept >= cap, axis=1)
    lowest = 255 - steps
    at = np.arange(len(long))
    left = cap - (kept[at, steps] - by_code[at, lowest])
    kernels.cap_lists(terms=terms, codes=codes, places=places, lowest=lowest, left=left)
