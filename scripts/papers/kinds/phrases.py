"""Hashed word pairs appended to the vocabulary, weighted by what the encoder thinks of their words.

A pair of tokens that stand next to each other is a term of its own, in documents and in queries (a look-up
still). Its weight is `factor` times the smaller of the two tokens' weights, which in a document are
contextual.

Settings: `collections` (folders below `ir/`) for nDCG@10; `names`, a collection in which pairs of words are
looked for that stand together in one document and apart in others, `asked`, how many; `buckets`; `cut`, below
which weights of documents are left out, as the bundled encoder does. Runs: `factor`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from scripts.papers.experiment import Experiment, Places
from scripts.papers.kinds.bundled import encoded, judged, uncut
from splade_engine import SparseEncoder
from splade_engine.collections import read_documents

Pair = tuple[str, str]


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = experiment.settings
    encoder, buckets = uncut(), settings["buckets"]
    tests = {}
    for name in settings["collections"]:
        found = judged(encoder, name, places)
        tests[name] = (found, _Pairs(encoder, found.document_texts), _Pairs(encoder, found.query_texts))
    texts = [d.indexed_text for d in read_documents(places.data / "ir" / settings["names"])][
        : settings["documents"]
    ]
    asked = _together(texts, settings["asked"])
    words = [" ".join(pair) for pair, _ in asked]
    documents = _cut(encoded(encoder, texts, f"uncut-names-{len(texts)}", places), settings["cut"])
    queries = sp.csr_array(encoder.encode_queries(words).to_scipy())
    names = (_Pairs(encoder, texts), _Pairs(encoder, words))
    for each in experiment.runs:
        factor, row = each["factor"], {"name": each["name"]}
        for name, (found, of_documents, of_queries) in tests.items():
            more = of_documents.added(_cut(found.documents, settings["cut"]), factor, buckets)
            row[f"nDCG@10 {name}"] = round(
                found.ndcg(more, of_queries.added(found.queries, factor, buckets)), 4
            )
            row[f"terms a document {name}"] = round(more.nnz / more.shape[0], 1)
        scores = names[1].added(queries, factor, buckets) @ names[0].added(documents, factor, buckets).T
        first = _ranks(np.asarray(scores.todense()), [d for _, d in asked])
        row["names found first"] = round(float(np.mean(first == 1)), 3)
        row["names, MRR@10"] = round(float(np.mean(np.where(first <= 10, 1 / first, 0))), 3)
        yield row


def _cut(documents: Any, least: float) -> Any:
    kept = documents.copy()
    kept.data[kept.data < least] = 0
    kept.eliminate_zeros()
    return kept


class _Pairs:
    """The neighbouring tokens of texts."""

    def __init__(self, encoder: SparseEncoder, texts: Sequence[str]) -> None:
        rows, first, second = [], [], []
        for i, text in enumerate(texts):
            tokens = [term for term, _, _ in encoder.word_spans(text)]
            rows += [i] * (len(tokens) - 1)
            first += tokens[:-1]
            second += tokens[1:]
        self.rows, self.first, self.second = (np.array(x, np.int64) for x in (rows, first, second))

    def added(self, vectors: Any, factor: float, buckets: int) -> Any:
        """The vectors with the pairs as terms behind the vocabulary: csr_array float32[n, V + buckets]."""
        if not factor:
            return vectors
        weights = [np.asarray(vectors[self.rows, at]).ravel() for at in (self.first, self.second)]
        weight = factor * np.minimum(*weights)
        kept = weight > 0
        column = (self.first[kept] * 1_000_003 + self.second[kept]) % buckets
        keys = self.rows[kept] * buckets + column
        order = np.lexsort((-weight[kept], keys))
        unique, at = np.unique(keys[order], return_index=True)  # a pair that is there twice counts once
        shape = (vectors.shape[0], buckets)
        values = weight[kept][order][at].astype(np.float32)
        return sp.hstack(
            [vectors, sp.csr_array((values, (unique // buckets, unique % buckets)), shape=shape)]
        ).tocsr()


def _together(texts: Sequence[str], count: int) -> list[tuple[Pair, int]]:
    """Pairs of words that stand together in one document alone, and apart in at least two; that document."""
    together: dict[Pair, set[int]] = defaultdict(set)
    holding: dict[str, set[int]] = defaultdict(set)
    for i, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower())
        for word in words:
            holding[word].add(i)
        for pair in pairwise(words):
            together[pair].add(i)
    found = []
    for (a, b), where in together.items():
        rare = max(len(holding[a]), len(holding[b])) <= 200 and min(len(a), len(b)) > 2
        if rare and len(where) == 1 and len((holding[a] & holding[b]) - where) >= 2:
            found.append(((a, b), next(iter(where))))
    rng = np.random.default_rng(0)
    return [found[i] for i in rng.permutation(len(found))[:count]]


def _ranks(scores: Any, relevant: Sequence[int]) -> Any:
    """int64[n], from 1; of equal scores the relevant document comes last."""
    own = scores[np.arange(len(relevant)), relevant][:, None]
    return (scores >= own).sum(1)
