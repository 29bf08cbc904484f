"""The bundled encoder's vectors of small collections, with all terms that it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from scripts.papers.experiment import Places
from splade_engine import SparseEncoder
from splade_engine.collections.loading import load_dataset
from splade_engine.training.run.probe import ndcg


@dataclass(frozen=True)
class Judged:
    """A collection as vectors."""

    # csr_array float32[n, V] each
    documents: Any
    queries: Any
    # texts
    document_texts: list[str]
    query_texts: list[str]
    # of each query the grades of its relevant documents, by their number
    relevant: list[dict[int, int]]

    def ndcg(self, documents: Any, queries: Any) -> float:
        """Mean nDCG@10 of these vectors in place of the collection's."""
        scores = np.asarray((queries @ documents.T).todense())
        return float(np.mean([ndcg(row, r) for row, r in zip(scores, self.relevant, strict=True)]))


def uncut() -> SparseEncoder:
    """The bundled encoder without its limits on documents."""
    checkpoint = SparseEncoder.load(None, device="cpu").checkpoint
    settings = replace(checkpoint.settings, min_weight=0.0, top_k=None)
    return SparseEncoder(replace(checkpoint, settings=settings), device="cpu")


def judged(encoder: SparseEncoder, name: str, places: Places) -> Judged:
    """A collection below `ir/`, its documents encoded once for all experiments."""
    dataset = load_dataset(places.data / "ir" / name)
    documents = list(dataset.corpus)
    numbers = {document.id: i for i, document in enumerate(documents)}
    texts = [document.indexed_text for document in documents]
    split = dataset.test
    asked = [q for q in split.queries if any(g > 0 for g in split.qrels.get(q, {}).values())]
    relevant = [{numbers[d]: g for d, g in split.qrels[q].items() if g > 0 and d in numbers} for q in asked]
    queries = [split.queries[q] for q in asked]
    return Judged(
        encoded(encoder, texts, f"uncut-{name}", places),
        sp.csr_array(encoder.encode_queries(queries).to_scipy()),
        texts,
        queries,
        relevant,
    )


def encoded(encoder: SparseEncoder, texts: Sequence[str], name: str, places: Places) -> Any:
    """csr_array float32[n, V] of documents, kept under `name`."""
    path = places.work / "vectors" / f"{name}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        sp.save_npz(path, sp.csr_matrix(encoder.encode_documents(texts).to_scipy()))
    return sp.csr_array(sp.load_npz(path))
