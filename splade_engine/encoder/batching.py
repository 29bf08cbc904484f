"""Cutting a corpus into batches: by length, so that little is padded, by tokens, to bound memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def length_sorted_batches(
    lengths: Sequence[int] | NDArray[np.int64], tokens: int
) -> Iterator[NDArray[np.int64]]:
    """Rows grouped into batches of at most `tokens` tokens as padded (rows x longest), longest first.

    Longest first means that a batch too large for the memory fails at once and not at the end, and that the
    progress bar errs on the pessimistic side. A text longer than `tokens` is a batch of its own. Among equal
    lengths the input order stays.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(sizes[order[start]]), 1)
        count = max(tokens // longest, 1)
        yield order[start : start + count]
        start += count
