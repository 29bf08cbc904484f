"""Learned sparse retrieval with our encoder and index, as a system under evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.eval.measures import recall
from splade_engine.eval.measures.sparsity import TermCounts, sparsity
from splade_engine.eval.run.runs import Run
from splade_engine.eval.systems.base import Answer, System, one_of
from splade_engine.eval.systems.bench import asked
from splade_engine.eval.systems.sparse_collection import SparseCollection, encoder_hash, sparse_collection

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench, Settings
    from splade_engine.index import SparseIndex

_TUNE_QUERIES = 500


@dataclass(frozen=True)
class Sparse(System):
    """Our engine: encode, then search the index.

    Options:
        exact: search exactly, whatever the size.
        accuracy: recall wanted at the k that is searched, between 0 and 1; the index is tuned for it (see
            `tuned`). Without it the index searches as it does by default.
        encoder: another checkpoint than that of the settings.
        idf: `collection` weighs inference-free queries by the collection's document frequencies too, as
            `SearchEngine` does; `model` takes the encoder's table as it is.
        adapt: adapt the encoder to the documents of the collection first, as `splade-engine adapt` does.
    """

    kind: ClassVar[str] = "sparse"

    exact: bool = False
    accuracy: float | None = None
    encoder: str = ""
    idf: str = "collection"
    adapt: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("idf", self.idf, ("collection", "model"))
        if self.accuracy is not None:
            if not 0 < self.accuracy <= 1:
                raise InvalidInputError(f"accuracy must be above 0 and at most 1, got {self.accuracy}")
            if self.exact:
                raise InvalidInputError("accuracy and exact exclude each other")

    def models(self, settings: Settings) -> dict[str, str]:
        """Hash of the checkpoint."""
        return encoder_hash(settings, self.encoder)

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Encode and search the queries one by one."""
        collection = sparse_collection(bench, self.encoder, self.idf, adapt=self.adapt)
        index = collection.index
        notes: tuple[str, ...] = ()
        options: dict[str, Any] = {"exact": True} if self.exact else {}
        if self.accuracy is not None:
            options = {"accuracy": self.accuracy}
            index, notes = tuned(bench, collection, self.accuracy, k)
        first = next(iter(split.queries.values()))
        collection.search_text(first, k, index, **options)  # compiled kernels load at the first search
        answers = [collection.search_text(text, k, index, **options) for _, _, text in asked(bench, split)]
        hits = [found for found, _ in answers]
        answer = Answer(
            run=Run(self.title, dict(zip(split.queries, map(collection.ranking, hits), strict=True))),
            seconds=np.array([seconds for _, seconds in answers]),
            search_seconds=np.array([h.search_seconds for h in hits]),
            mode=self._mode(all(h.exact for h in hits), k),
            sparsity=sparsity(
                collection.documents, TermCounts.of([collection.query_vectors(split)], index.n_terms)
            ),
            cost=replace(collection.cost, docs_scored=float(np.mean([h.docs_scored for h in hits]))),
            notes=notes,
            hashes={"index": collection.fingerprint},
        )
        if self.exact:
            return answer
        exact = recall.exact_tops(collection, split, k)
        found_tops = [h.ordinals for h in hits]
        return replace(
            answer,
            recall_vs_exact=recall.recall(exact, found_tops, recall.DEPTH),
            recall_at_k=recall.recall(exact, found_tops, k),
            recall_curve=recall.curve(collection, split),
        )

    def _mode(self, exact: bool, k: int) -> str:
        if exact:
            return "exact" if self.exact else "exact (chosen by the index)"
        if self.accuracy is None:
            return "approximate"
        return f"approximate (accuracy {self.accuracy:g} at k = {k})"


def tuned(
    bench: Bench, collection: SparseCollection, accuracy: float, k: int
) -> tuple[SparseIndex, tuple[str, ...]]:
    """The index tuned to a recall at k: on dev queries, else on queries made from documents.

    Never on the measured queries, whose recall would then say nothing about others.
    """
    if accuracy == 1:
        return collection.index, ()
    seed, dev = bench.settings.seed, bench.dataset.dev
    vectors, where = None, "queries made from documents (no dev split)"
    if dev is not None:
        vectors = collection.query_vectors(dev)
        if len(vectors) > _TUNE_QUERIES:
            chosen = np.random.default_rng(seed).choice(len(vectors), _TUNE_QUERIES, replace=False)
            vectors = vectors[np.sort(chosen)]
        where = f"{len(vectors)} queries of split {dev.name}"
    index = collection.tuned(accuracy, k, vectors, seed)
    return index, (f"tuned to recall {accuracy:g} at k = {k} on {where}",)
