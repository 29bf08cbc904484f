"""The idf table of inference-free queries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from splade_engine.collections.idf import bm25_idf as idf_of
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import DatasetError

DOCUMENTS = 200_000  # counted at most: idf of a token in 1 of 200,000 is 12, rarer ones hardly differ
_BATCH = 2048


def document_frequencies(
    tokenizer: TextTokenizer, documents: Iterable[str], n_terms: int, limit: int = DOCUMENTS
) -> tuple[NDArray[np.int64], int]:
    """In how many of the first `limit` documents each term occurs: int64[n_terms], and how many were read."""
    counts = np.zeros(n_terms, np.int64)
    total = 0
    iterator = iter(islice(documents, limit))
    while texts := list(islice(iterator, _BATCH)):
        ids, _ = tokenizer.encode(texts, special_tokens=False)
        counts += np.bincount(np.concatenate([np.unique(row) for row in ids]), minlength=n_terms)[:n_terms]
        total += len(texts)
    return counts, total


def bm25_idf(frequencies: NDArray[np.int64], total: int, unseen: float) -> NDArray[np.float32]:
    """BM25's idf, as in OpenSearch's idf.json (N passages, n of them holding the term).

    Args:
        frequencies: int64[V], n per term.
        total: N.
        unseen: weight of terms with n = 0 (1.0 in that file).

    Raises:
        DatasetError: if no document was counted.
    """
    if total < 1:
        raise DatasetError("idf: the training data has no documents to count")
    return np.where(frequencies > 0, idf_of(frequencies, total), unseen).astype(np.float32)
