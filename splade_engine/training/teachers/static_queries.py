"""Static queries: what a dense teacher would want every term of a document to weigh.

An inference-free query is a sum over its tokens, so all that a document can do for the dense teacher's score
of a query is to make that sum come near to it. Ridge regression over some hundred thousand texts gives every
token t a vector m_t with

    e(q)  ~  sum_t c_qt idf_t m_t  /  |(c_qt idf_t)_t|

(e: the teacher's embedding, c: how often t stands in q; the divisor, the same for all documents, changes no
ranking). So e(q) . e(d) ~ sum_t c_qt idf_t (m_t . e(d)), up to that divisor: the weight to store for term t
in document d is m_t . e(d), for all terms at once and without a single query. The mean document is taken out
of e(d) first, which moves all scores of a query alike and leaves less to store.

Measured with all-MiniLM-L6-v2 and 237,000 texts (exact search with the sum over tokens in place of the
teacher's query embedding; docs/training.md): wikiqa .70 for the teacher's .73, clapnq .98 for .98, scifact
.60 for .64, cranfield .43 for .51.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from splade_engine.encoder.tokens import Ids
from splade_engine.training.data.generation import sentences

RIDGE = 0.3  # in texts: 1 and 3 give .002 and .010 less in mean nDCG@10 of eleven collections
ITERATIONS = 30  # of conjugate gradients: the residual is 1e-4 of the right-hand side
FLOOR = 0.2  # taken off every weight of a dense head: below it are hundreds of terms and no gain
_SHORTEST, _LONGEST = 4, 24  # words of a sentence that can be a query
_WINDOW = (3, 10)  # words of a part of one
_PER_DOCUMENT = 2


def query_features(rows: Sequence[Ids], idf: NDArray[np.float32]) -> sp.csr_array:
    """float32[n, V]: a token's count times its idf; rows of unit length, or empty."""
    counted = [np.unique(row, return_counts=True) for row in rows]
    starts = np.cumsum([0, *(len(terms) for terms, _ in counted)])
    terms = np.concatenate([np.zeros(0, np.int32), *(t for t, _ in counted)])
    counts = np.concatenate([np.zeros(0, np.int64), *(c for _, c in counted)])
    values = (counts * idf[terms]).astype(np.float32)
    features = sp.csr_array((values, terms, starts), shape=(len(rows), len(idf)))
    lengths = np.sqrt(features.power(2).sum(axis=1))
    features.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(starts))
    features.eliminate_zeros()
    return features


def fit_vectors(
    features: sp.csr_array, embeddings: NDArray[np.float32], *, ridge: float = RIDGE
) -> NDArray[np.float32]:
    """float32[V, H]: argmin_M |X M - E|^2 + ridge |M|^2, by conjugate gradients.

    All H columns at once, each with steps of its own, preconditioned by the diagonal: 30 passes over a
    quarter of a million texts take 20 s; scipy's solvers take one column at a time.

    Args:
        features: X, float32[n, V].
        embeddings: E, float32[n, H].
        ridge: see above.
    """
    transposed = features.T.tocsr()
    residual: NDArray[np.float32] = transposed @ embeddings
    scale = (1 / (features.power(2).sum(axis=0) + ridge)).astype(np.float32)[:, None]
    solution = np.zeros_like(residual)
    direction = scale * residual
    size = (residual * direction).sum(axis=0)
    for _ in range(ITERATIONS):
        image = transposed @ (features @ direction) + np.float32(ridge) * direction
        step = size / np.maximum((direction * image).sum(axis=0), 1e-30)
        solution += step * direction
        residual -= step * image
        scaled = scale * residual
        before, size = size, (residual * scaled).sum(axis=0)
        direction = scaled + size / np.maximum(before, 1e-30) * direction
    return solution


def texts_like_queries(documents: Iterable[str], count: int, rng: np.random.Generator) -> list[str]:
    """Two sentences of every document, every second one cut to 3 to 10 words; `count` at most."""
    texts: dict[str, None] = {}
    for document in documents:
        if len(texts) >= count:
            break
        usable = [s for s in sentences(document) if _SHORTEST <= len(s.split()) <= _LONGEST]
        for i in rng.permutation(len(usable))[:_PER_DOCUMENT]:
            words = usable[i].split()
            if rng.random() < 0.5:
                length = int(rng.integers(_WINDOW[0], _WINDOW[1] + 1))
                first = int(rng.integers(max(1, len(words) - length + 1)))
                words = words[first : first + length]
            texts.setdefault(" ".join(words))
    return list(texts)[:count]
