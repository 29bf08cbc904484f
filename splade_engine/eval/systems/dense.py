"""Dense retrieval with a sentence-transformers model in faiss, for comparison and for hybrids."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.dense import (
    NamedDenseEncoder,
    dense_fingerprint,
    load_dense,
    packaged_model,
)
from splade_engine.encoder.dense_blocks import read_block, write_block
from splade_engine.eval.run.results import Cost
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, one_of, within
from splade_engine.eval.systems.bench import asked
from splade_engine.files import digest_of_json
from splade_engine.progress import Progress, ProgressBar

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench, Encodings, Settings

_SHARD = 2048  # documents: what an interruption costs, ten seconds of MiniLM on two cores
RECALL_DEPTH = 10


class DenseCollection:
    """A dataset under a dense model: its vectors, and faiss indexes over them.

    Attributes:
        vectors: float32[n_documents, d].
        ids: document ids by row.
        encode_seconds, encode_cached: as in `Cost`.
    """

    def __init__(self, bench: Bench, source: str | None) -> None:
        self.model: NamedDenseEncoder = bench.settings.model(("dense", source), lambda: load_dense(source))
        self.encode_seconds, self.encode_cached = 0.0, True
        parts: list[NDArray[np.float32]] = []
        for corpus in bench.dataset.parts:
            encodings = bench.encodings(corpus, "dense", self.model.fingerprint)
            parts.append(self._encoded(corpus, encodings, bench.settings.progress))
            self.encode_seconds += encodings.seconds()
        self.vectors = np.concatenate(parts)
        self.ids = [document.id for document in bench.dataset.corpus]
        self._indexes: dict[tuple[Any, ...], tuple[Any, float, int]] = {}
        self._queries: dict[str, NDArray[np.float32]] = {}

    def _encoded(self, corpus: Corpus, encodings: Encodings, progress: Progress) -> NDArray[np.float32]:
        encodings.folder.mkdir(exist_ok=True)
        shards = []
        with ProgressBar(progress, encodings.n_docs, label="encode (dense)", unit="doc") as bar:
            for number, texts in enumerate(_batches(corpus)):
                file = encodings.folder / f"{number:05d}.vectors"
                made_from = digest_of_json([self.model.fingerprint, texts]).encode()
                vectors = read_block(file, len(texts), made_from)
                if vectors is None:
                    self.encode_cached = False
                    started = time.perf_counter()
                    vectors = self.model.encode(texts)
                    encodings.add_seconds(time.perf_counter() - started)
                    write_block(file, vectors, made_from)
                shards.append(vectors)
                bar.advance(len(texts))
        return np.concatenate(shards)

    def query_vectors(self, split: Split) -> NDArray[np.float32]:
        """float32[queries, d] of a split."""
        if split.name not in self._queries:
            self._queries[split.name] = self.model.encode(list(split.queries.values()), query=True)
        return self._queries[split.name]

    def index(self, kind: str, links: int, ef_search: int) -> tuple[Any, float, int]:
        """A faiss index, the seconds of building it, and its bytes."""
        key = (kind, links, ef_search)
        if key not in self._indexes:
            import faiss

            started = time.perf_counter()
            size = self.vectors.shape[1]
            index: Any = faiss.IndexFlatIP(size)
            if kind == "hnsw":
                index = faiss.IndexHNSWFlat(size, links, faiss.METRIC_INNER_PRODUCT)
                index.hnsw.efConstruction = 200
                index.hnsw.efSearch = ef_search
            index.add(self.vectors)
            seconds = time.perf_counter() - started
            self._indexes[key] = index, seconds, int(faiss.serialize_index(index).nbytes)
        return self._indexes[key]

    def ranking(self, index: Any, vector: NDArray[np.float32], k: int) -> Ranking:
        """The nearest `k` documents."""
        scores, rows = index.search(vector.reshape(1, -1), min(k, len(self.ids)))
        found = rows[0] >= 0
        return Ranking.in_order([self.ids[i] for i in rows[0][found].tolist()], scores[0][found])


def _batches(corpus: Corpus) -> Iterator[list[str]]:
    documents = iter(corpus)
    while batch := [document.indexed_text for document in islice(documents, _SHARD)]:
        yield batch


def dense_collection(bench: Bench, model: str = "") -> DenseCollection:
    """The dataset under a dense model ("" for the one of the settings), made once."""
    source = model or bench.settings.dense_model
    return bench.resource(("dense", source), lambda: DenseCollection(bench, source))


@dataclass(frozen=True)
class Dense(System):
    """Dense retrieval in faiss, one thread a query.

    Options:
        index: `flat` (exact) or `hnsw` (Malkov and Yashunin 2018).
        links: HNSW's M (faiss' default); ef_search: its beam; both matter to `hnsw` only.
        model: another model than that of the settings.
    """

    kind: ClassVar[str] = "dense"

    index: str = "flat"
    links: int = 32
    ef_search: int = 64
    model: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("index", self.index, ("flat", "hnsw"))
        within("links", self.links, 2, 512)
        within("ef_search", self.ef_search, 1, 1e6)

    def models(self, settings: Settings) -> dict[str, str]:
        """Hash of the model's files."""
        source = self.model or settings.dense_model or packaged_model()
        key = ("dense fingerprint", source)
        return {f"dense model {self.model}".strip(): settings.model(key, lambda: dense_fingerprint(source))}

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Encode and search the queries one by one."""
        import faiss

        collection = dense_collection(bench, self.model)
        index, built, size = collection.index(self.index, self.links, max(self.ef_search, k))
        texts = list(split.queries.values())
        seconds, search = np.empty(len(texts)), np.empty(len(texts))
        rankings = {}
        threads = faiss.omp_get_max_threads()
        collection.model.encode(texts[:1], query=True)
        try:
            faiss.omp_set_num_threads(1)
            for i, query_id, text in asked(bench, split):
                started = time.perf_counter()
                vector = collection.model.encode([text], query=True)[0]
                encoded = time.perf_counter()
                rankings[query_id] = collection.ranking(index, vector, k)
                seconds[i], search[i] = time.perf_counter() - started, time.perf_counter() - encoded
        finally:
            faiss.omp_set_num_threads(threads)
        flat = self.index == "flat"
        return Answer(
            run=Run(self.title, rankings),
            seconds=seconds,
            search_seconds=search,
            mode="exact" if flat else f"approximate (HNSW, ef {max(self.ef_search, k)})",
            cost=Cost(
                collection.encode_seconds,
                collection.encode_cached,
                built,
                size,
                docs_scored=float(len(collection.ids)) if flat else None,
            ),
            recall_vs_exact=None if flat else _recall(collection, split, rankings, RECALL_DEPTH),
            recall_at_k=None if flat else _recall(collection, split, rankings, k),
            notes=(f"{collection.model.name}, encoded in {collection.model.dtype}",),
        )


def _recall(collection: DenseCollection, split: Split, rankings: dict[str, Ranking], depth: int) -> float:
    """Mean share of the exact top `depth` in the top `depth` of the rankings."""
    exact, _, _ = collection.index("flat", 32, 0)
    vectors = collection.query_vectors(split)
    shares = []
    for row, query_id in enumerate(split.queries):
        best = collection.ranking(exact, vectors[row], depth).ids
        found = rankings[query_id].ids[:depth]
        shares.append(len(set(best) & set(found)) / len(best))
    return float(np.mean(shares))
