"""BM25's idf: how much a term says in a collection of which some documents hold it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bm25_idf(frequencies: ArrayLike, n_docs: int) -> NDArray[np.float64]:
    """`ln(1 + (N - n + 0.5) / (n + 0.5))`: Lucene's form of Robertson and Sparck Jones' weight, above 0.

    Args:
        frequencies: int64[...], n: the documents that hold each term.
        n_docs: N: all documents.
    """
    n = np.asarray(frequencies)
    return np.asarray(np.log1p((n_docs - n + 0.5) / (n + 0.5)))
