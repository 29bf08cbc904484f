"""`Probe`: a quick nDCG@10 during training, on held-out queries against a small pool of documents.

Good for comparing steps of one run. It is no benchmark: the pool is small and comes from the training data;
judge a finished encoder with `splade-engine eval`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.collections import read_documents
from splade_engine.collections.beir import qrels_file, queries_file
from splade_engine.collections.qrels import read_qrels
from splade_engine.training.data.collate import Collator
from splade_engine.training.data.examples import Example
from splade_engine.training.data.line_file import TextsById
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.student.encode import encode
from splade_engine.training.student.student import Student


@dataclass(frozen=True)
class Probe:
    """Queries, documents and what is relevant."""

    # Texts.
    queries: tuple[str, ...]
    # Texts.
    documents: tuple[str, ...]
    # For each query the numbers of its relevant documents and their grades.
    relevant: tuple[dict[int, int], ...]

    def measure(self, student: Student, collator: Collator) -> dict[str, float]:
        """`ndcg@10` and the mean terms of its documents and queries, by exact search."""
        was_training = student.training
        student.eval()
        try:
            queries = encode(student, collator, self.queries, "query")
            documents = encode(student, collator, self.documents, "document")
        finally:
            student.train(was_training)
        scores = (queries @ documents.T).toarray()
        values = [ndcg(row, relevant) for row, relevant in zip(scores, self.relevant, strict=True)]
        return {
            "ndcg@10": float(np.mean(values)),
            "probe_document_terms": documents.nnz / max(1, documents.shape[0]),
            "probe_query_terms": queries.nnz / max(1, queries.shape[0]),
        }


def ndcg(scores: NDArray[np.float32], relevant: dict[int, int], k: int = 10) -> float:
    """nDCG@k with linear gain over the documents that score above zero.

    Of equal scores the first comes first.
    """
    order = np.argsort(-scores, kind="stable")[:k]
    gains = [relevant.get(int(d), 0) if scores[d] > 0 else 0 for d in order]
    best = sorted(relevant.values(), reverse=True)[:k]
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(best))
    return sum(g / math.log2(i + 2) for i, g in enumerate(gains)) / ideal if ideal else 0.0


def held_out_probe(data: TrainingSet, n_documents: int) -> Probe | None:
    """The held-out rows of the first source as queries, their texts and others of it as documents.

    None where nothing is held out.
    """
    rng = np.random.default_rng([data.seed, 3])
    source = data.sources[0]
    examples = [e for row in data.held_out_rows() if (e := source.example(row, rng)) is not None]
    if not examples:
        return None
    documents: dict[str, int] = {}
    relevant: dict[str, dict[int, int]] = {}
    for example in examples:
        grades = relevant.setdefault(example.query, {})
        for text in example.positives:
            grades[documents.setdefault(text, len(documents))] = 1
    for row in rng.permutation(len(source))[: 4 * n_documents]:
        if len(documents) >= n_documents:
            break
        other: Example | None = source.example(int(row), rng)
        for text in () if other is None else (*other.positives, *other.negatives):
            documents.setdefault(text, len(documents))
    return Probe(tuple(relevant), tuple(documents), tuple(relevant.values()))


def folder_probe(folder: Path, n_documents: int, n_queries: int, cache: Path) -> Probe:
    """Queries and judgments of a BEIR folder's `qrels/test.tsv`, and a part of its documents.

    The part is its first `n_documents` documents and all judged ones.

    Raises:
        DatasetError: naming what is missing.
    """
    judgments = qrels_file(folder, "test")
    qrels = read_qrels(judgments)
    texts = TextsById(queries_file(folder), cache, titled=False)
    chosen = list(qrels)[: n_queries or None]
    judged = {d for q in chosen for d in qrels[q]}
    numbers: dict[str, int] = {}
    documents: list[str] = []
    for document in read_documents(folder):
        if document.id in judged or len(documents) < n_documents:
            numbers[document.id] = len(documents)
            documents.append(document.indexed_text)
    relevant = tuple({numbers[d]: g for d, g in qrels[q].items() if g > 0 and d in numbers} for q in chosen)
    place = str(judgments)
    return Probe(tuple(texts.get(q, place, "query") for q in chosen), tuple(documents), relevant)
