"""Pairs of neighbouring tokens as terms (`splade_engine/encoder/phrases.py`), on vectors that are kept.

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
from splade_engine.encoder.phrases import PhraseTerms
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.vectors import SparseVectors

Pair = tuple[str, str]


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = experiment.settings
    encoder, cut = uncut(), settings["cut"]
    tests = {name: judged(encoder, name, places) for name in settings["collections"]}
    texts = [d.indexed_text for d in read_documents(places.data / "ir" / settings["names"])][
        : settings["documents"]
    ]
    asked = _together(texts, settings["asked"])
    words = [" ".join(pair) for pair, _ in asked]
    documents = _cut(encoded(encoder, texts, f"uncut-names-{len(texts)}", places), cut)
    queries = sp.csr_array(encoder.encode_queries(words).to_scipy())
    for each in experiment.runs:
        row: dict[str, Any] = {"name": each["name"]}

        def made(vectors: Any, of: Sequence[str], factor: float = each["factor"]) -> Any:
            how = {"phrase_buckets": settings["buckets"], "phrase_factor": factor}
            return with_pairs(encoder, vectors, of, EncoderSettings(**how)) if factor else vectors

        for name, found in tests.items():
            more = made(_cut(found.documents, cut), found.document_texts)
            row[f"nDCG@10 {name}"] = round(found.ndcg(more, made(found.queries, found.query_texts)), 4)
            row[f"terms a document {name}"] = round(more.nnz / more.shape[0], 1)
        scores = made(queries, words) @ made(documents, texts).T
        first = _ranks(np.asarray(scores.todense()), [d for _, d in asked])
        row["names found first"] = round(float(np.mean(first == 1)), 3)
        row["names, MRR@10"] = round(float(np.mean(np.where(first <= 10, 1 / first, 0))), 3)
        yield row


def _cut(documents: Any, least: float) -> Any:
    kept = documents.copy()
    kept.data[kept.data < least] = 0
    kept.eliminate_zeros()
    return kept


def with_pairs(encoder: SparseEncoder, vectors: Any, texts: Sequence[str], how: EncoderSettings) -> Any:
    """The vectors of texts with their pairs behind the vocabulary: csr_array float32[n, V + buckets]."""
    tokenizer = encoder._queries.tokenizer
    pairs = PhraseTerms(how, tokenizer, encoder.n_terms)
    ids = [np.array([token for token, _, _ in tokenizer.word_spans(text)], np.int32) for text in texts]
    return sp.csr_array(pairs.added(SparseVectors.from_scipy(vectors), ids, range(len(ids))).to_scipy())


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
