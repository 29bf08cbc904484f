"""Term numbers in two parts: the lower bits of each entry as they are, the upper ones of a row as bits.

`kernels/split.py` has the layout and its source.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty, check_length
from splade_engine.index.segment.terms.kind import TermKind

_WORDS = 1 << 14  # of 64 bits, checked at a time: some 1 M entries of 50 bytes
_BLOCKS = ArraySpec("doc_term_blocks", "<u8", optional=True)


class Split(TermKind):
    """As many lower bits as an item of the first array has; the rest in `doc_term_blocks`."""

    name = "split"

    def __init__(self, most: int, lows: ArraySpec) -> None:
        super().__init__(most, lows, _BLOCKS)
        self.low_bits = 8 * np.dtype(lows.dtype).itemsize

    def write(
        self, offsets: NDArray[np.int64], terms: NDArray[Any], n_local: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """See `TermKind`. One thread does it: rows share words of bits."""
        from splade_engine.index.kernels.split import split_rows

        n_docs, n_blocks = len(offsets) - 1, self.n_blocks(n_local)
        lows = empty(len(terms), self.arrays[0].dtype)
        blocks = empty(_n_words(n_docs, len(terms), n_blocks), np.uint64)
        blocks[:] = 0
        split_rows(
            first=0, last=n_docs, offsets=offsets, terms=terms, n_blocks=n_blocks, lows=lows, blocks=blocks
        )
        return {self.section: lows, _BLOCKS.name: blocks}

    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """See `TermKind`."""
        n_blocks = self.n_blocks(len(arrays["term_ids"]))
        check_length(self.section, arrays[self.section], nnz)
        check_length(_BLOCKS.name, arrays[_BLOCKS.name], _n_words(n_docs, nnz, n_blocks))
        self._check_bits(arrays, n_blocks, nnz)

    def _check_bits(self, arrays: Arrays, n_blocks: int, nnz: int) -> None:
        """Every entry sets one bit among those of its own row, and terms put together again ascend."""
        words, lows, offsets = arrays[_BLOCKS.name], arrays[self.section], arrays["doc_offsets"]
        n_local, seen, last_row, last_term = len(arrays["term_ids"]), 0, -1, -1
        for a in range(0, len(words), _WORDS):
            part = np.ascontiguousarray(words[a : a + _WORDS]).view(np.uint8)
            places = np.flatnonzero(np.unpackbits(part, bitorder="little")) + 64 * a
            end = seen + len(places)
            if end > nnz:
                break
            if end == seen:
                continue
            rows = _rows_of(offsets, seen, end)
            block = places - np.arange(seen, end) - rows * n_blocks
            terms = (block << self.low_bits) | lows[seen:end]
            good = (block >= 0) & (terms < n_local)
            if not good.all():
                at = int(np.argmin(good))
                raise IndexCorruptError(
                    f"{_BLOCKS.name}: must give terms below {n_local}, at {seen + at}: {terms[at]}"
                )
            falls = np.diff(terms, prepend=last_term) <= 0
            falls &= np.diff(rows, prepend=last_row) == 0
            if falls.any():
                at = int(np.argmax(falls))
                raise IndexCorruptError(
                    f"{self.section}: must be strictly increasing, at {seen + at}: {terms[at]}"
                )
            seen, last_row, last_term = end, int(rows[-1]), int(terms[-1])
        if end != nnz:
            raise IndexCorruptError(f"{_BLOCKS.name}: must have {nnz} bits set, has {end} or more")

    def blocks(self, arrays: Arrays) -> NDArray[Any]:
        """See `TermKind`."""
        return np.asarray(arrays[_BLOCKS.name])

    def n_blocks(self, n_local: int) -> int:
        """See `TermKind`."""
        return -(-n_local >> self.low_bits)

    def read(
        self,
        arrays: Arrays,
        ordinals: NDArray[np.int64],
        starts: NDArray[np.int64],
        entries: NDArray[np.int64],
    ) -> NDArray[Any]:
        """See `TermKind`."""
        from splade_engine.index.kernels.split import join_rows

        terms: NDArray[Any] = np.empty(len(entries), np.uint32)
        join_rows(
            wanted=np.ascontiguousarray(ordinals),
            starts=starts,
            offsets=np.asarray(arrays["doc_offsets"]),
            lows=np.asarray(arrays[self.section]),
            blocks=self.blocks(arrays),
            n_blocks=self.n_blocks(len(arrays["term_ids"])),
            out=terms,
        )
        return terms


def _n_words(n_docs: int, nnz: int, n_blocks: int) -> int:
    return -(-(nnz + n_docs * n_blocks) // 64)


def _rows_of(offsets: NDArray[Any], first: int, last: int) -> NDArray[np.int64]:
    """The row of each of the entries first..last-1, of which there is at least one."""
    begin, end = (np.searchsorted(offsets, (first, last - 1), side="right") - 1).tolist()
    inside = np.clip(offsets[begin : end + 2], first, last)
    return np.repeat(np.arange(begin, end + 1), np.diff(inside))


SPLIT_8 = Split(1 << 16, ArraySpec("doc_term_lows_8", "|u1", optional=True))
SPLIT_16 = Split(1 << 32, ArraySpec("doc_term_lows_16", "<u2", optional=True))
