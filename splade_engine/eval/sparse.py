"""Learned sparse retrieval with our encoder and index, as a system under evaluation."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64

from splade_engine.errors import InvalidInputError
from splade_engine.eval.results import Cost, RecallPoint
from splade_engine.eval.runs import Ranking, Run
from splade_engine.eval.sparsity import TermCounts, sparsity
from splade_engine.eval.systems import Answer, System, within
from splade_engine.shards import EncodedCorpus, encode_corpus
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.eval.dataset import Split
    from splade_engine.eval.workbench import Settings, Workbench
    from splade_engine.index import SparseIndex

logger = logging.getLogger(__name__)

RECALL_DEPTH = 10  # recall against exact search is measured at the depth that indexes are tuned for
# (postings walked, documents scored in full) from fast to thorough; the third is the index's default
CURVE = ((3_000, 50), (10_000, 100), (30_000, 150), (100_000, 300), (300_000, 600), (1_000_000, 1500))
_CURVE_QUERIES = 1000
_TUNE_QUERIES = 500


@dataclass(frozen=True)
class SparseHits:
    """One query's hits by ordinal, and the times that they took."""

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]
    encode_seconds: float
    search_seconds: float
    docs_scored: int
    exact: bool


class SparseCollection:
    """A dataset encoded by one sparse encoder, and indexed.

    Attributes:
        encoder: the SparseEncoder.
        index: the SparseIndex over the vectors.
        ids: document ids by ordinal.
        cost: of encoding and building.
        fingerprint: of the index as it was built.
        documents: term counts of the document vectors.
    """

    def __init__(self, bench: Workbench, source: Any) -> None:
        from splade_engine.index import SparseIndex

        settings = bench.settings
        self.encoder = shared_encoder(settings, source)
        fingerprint = self.encoder.fingerprint()
        parts, seconds, cached = self._encode(bench, fingerprint)
        self.ids = [doc_id for encoded in parts for doc_id in encoded.ids()]
        started = time.perf_counter()
        self.index: SparseIndex = SparseIndex.build(
            bench.scratch(f"index-{fingerprint['hash']}"),
            chain.from_iterable(parts),
            self.ids,
            encoder=fingerprint,
            threads=settings.threads,
        )
        built = time.perf_counter() - started
        self.cost = Cost(
            encode_seconds=seconds,
            encode_cached=cached,
            build_seconds=built,
            index_bytes=self.index.info().total_bytes,
        )
        self.fingerprint = self.index.info().fingerprint
        self.documents = TermCounts.of(chain.from_iterable(parts), self.index.n_terms)
        self._query_vectors: dict[str, SparseVectors] = {}

    def _encode(
        self, bench: Workbench, fingerprint: dict[str, str | int]
    ) -> tuple[list[EncodedCorpus], float, bool]:
        """Every part of the corpus; the seconds, of earlier attempts too; whether all was cached."""
        parts, total, now = [], 0.0, 0.0
        for corpus in bench.dataset.parts:
            encodings = bench.encodings(corpus, "sparse", fingerprint)
            clock = _Clock(self.encoder)
            try:
                parts.append(encode_corpus(corpus, clock, encodings.folder, progress=bench.settings.progress))
            finally:
                total += encodings.add_seconds(clock.seconds) if clock.seconds else encodings.seconds()
                now += clock.seconds
        return parts, total, now == 0

    def query_vectors(self, split: Split) -> SparseVectors:
        """The queries of a split, encoded in one batch."""
        if split.name not in self._query_vectors:
            self._query_vectors[split.name] = self.encoder.encode_queries(list(split.queries.values()))
        return self._query_vectors[split.name]

    def search(self, vectors: SparseVectors, k: int, **options: Any) -> SparseHits:
        """Search one encoded query."""
        started = time.perf_counter()
        result = self.index.search(vectors, k=k, threads=1, **options)
        seconds = time.perf_counter() - started
        found = result.ordinals[0] >= 0
        return SparseHits(
            result.ordinals[0][found],
            result.scores[0][found],
            0.0,
            seconds,
            int(result.docs_scored[0]),
            result.exact,
        )

    def ranking(self, hits: SparseHits) -> Ranking:
        """Hits with the documents' ids."""
        return Ranking.in_order([self.ids[i] for i in hits.ordinals.tolist()], hits.scores)

    def search_text(self, text: str, k: int, **options: Any) -> tuple[SparseVectors, SparseHits, float]:
        """Encode and search one query; also returns the seconds of both together."""
        started = time.perf_counter()
        vectors = self.encoder.encode_queries([text])
        hits = self.search(vectors, k, **options)
        return vectors, hits, time.perf_counter() - started

    def recall(self, split: Split, tops: Sequence[NDArray[np.int64]]) -> float:
        """Mean share of the exact top 10 in the given top 10 (queries with exact hits only)."""
        shares = [
            len(np.intersect1d(exact, top[:RECALL_DEPTH])) / len(exact)
            for exact, top in zip(self.exact_tops(split), tops, strict=True)
            if len(exact)
        ]
        return float(np.mean(shares)) if shares else 1.0

    def exact_tops(self, split: Split) -> list[NDArray[np.int64]]:
        """Ordinals of the exact top 10 of every query."""
        result = self.index.search(self.query_vectors(split), k=RECALL_DEPTH, exact=True)
        return [row[row >= 0] for row in result.ordinals]

    def curve(self, split: Split) -> tuple[RecallPoint, ...]:
        """Recall and search time from fast to thorough settings, for at most 1,000 queries.

        Ends with the first setting that finds everything: those after it only cost more.
        """
        from splade_engine.index.config import SearchConfig

        vectors = self.query_vectors(split)[:_CURVE_QUERIES]
        exact = self.exact_tops(split)[: len(vectors)]
        points = []
        for max_postings, n_candidates in CURVE:
            config = SearchConfig(max_postings=max_postings, n_candidates=n_candidates)
            hits = [self.search(vectors[i], RECALL_DEPTH, config=config) for i in range(len(vectors))]
            shares = [
                len(np.intersect1d(a, h.ordinals)) / len(a)
                for a, h in zip(exact, hits, strict=True)
                if len(a)
            ]
            points.append(
                RecallPoint(
                    label=f"{max_postings:,} postings, {n_candidates:,} documents",
                    recall=float(np.mean(shares)) if shares else 1.0,
                    search_p50_ms=float(np.median([h.search_seconds for h in hits]) * 1e3),
                    docs_scored=float(np.mean([h.docs_scored for h in hits])),
                )
            )
            if points[-1].recall == 1.0:
                break
        return tuple(points)

    @cached_property
    def idf(self) -> NDArray[np.float32]:
        """float32[n_terms]: ln((n + 1) / (df + 1)) of the document vectors."""
        return np.log((self.documents.n + 1) / (self.documents.df + 1)).astype(np.float32)


class _Clock:
    """The encoder with a clock on `encode_documents`, so that reading and writing shards is not counted."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._loaded = False
        self.seconds = 0.0

    @property
    def n_terms(self) -> int:
        return int(self._encoder.n_terms)

    def fingerprint(self) -> dict[str, str | int]:
        fingerprint: dict[str, str | int] = self._encoder.fingerprint()
        return fingerprint

    def encode_documents(self, texts: Sequence[str], **options: Any) -> SparseVectors:
        if not self._loaded:
            self._encoder.encode_documents(["reads the weights, which is no part of encoding"])
            self._loaded = True
        started = time.perf_counter()
        vectors: SparseVectors = self._encoder.encode_documents(texts, **options)
        self.seconds += time.perf_counter() - started
        return vectors


def load_encoder(source: Any, max_length: int | None = None) -> Any:
    """A SparseEncoder from None (bundled), a folder or hub id; an object that encodes is taken as it is."""
    if source is not None and not isinstance(source, str | Path):
        return source
    from splade_engine.encoder import SparseEncoder

    return SparseEncoder.load(source, max_length=max_length)


def shared_encoder(settings: Settings, source: Any) -> Any:
    """The encoder, loaded once for all datasets of an evaluation."""
    length = settings.max_length
    return settings.model(("sparse", str(source), length), lambda: load_encoder(source, length))


def sparse_collection(bench: Workbench, encoder: str = "") -> SparseCollection:
    """The dataset under a sparse encoder ("" for the one of the settings), made once."""
    source = encoder or bench.settings.encoder
    return bench.resource(("sparse", str(source)), lambda: SparseCollection(bench, source))


@dataclass(frozen=True)
class Sparse(System):
    """Our engine: encode, then search the block index.

    Options:
        exact: search exactly, whatever the size.
        accuracy: recall@10 wanted, between 0 and 1; the index is tuned for it (see `tune`). Without it the
            index searches as it does by default.
        encoder: another checkpoint than that of the settings.
    """

    kind: ClassVar[str] = "sparse"

    exact: bool = False
    accuracy: float | None = None
    encoder: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.accuracy is not None:
            within("accuracy", self.accuracy, 0, 1)
            if self.exact:
                raise InvalidInputError("accuracy and exact exclude each other")

    def models(self, settings: Settings) -> dict[str, str]:
        """Hash of the checkpoint."""
        encoder = shared_encoder(settings, self.encoder or settings.encoder)
        identity = {name: value for name, value in encoder.fingerprint().items() if name != "name"}
        digest = xxh3_64(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return {f"encoder {self.encoder}".strip(): f"{encoder.name} {digest}"}

    def answer(self, bench: Workbench, split: Split, k: int) -> Answer:
        """Encode and search the queries one by one."""
        collection = sparse_collection(bench, self.encoder)
        options: dict[str, Any] = {"exact": True} if self.exact else {}
        notes: tuple[str, ...] = ()
        if self.accuracy is not None:
            options = {"accuracy": self.accuracy}
            notes = tune(bench, collection, self.accuracy)
        texts = list(split.queries.values())
        collection.search_text(texts[0], k, **options)  # compiled kernels are loaded at the first search
        hits, seconds = [], np.empty(len(texts))
        for i, text in enumerate(texts):
            _, found, seconds[i] = collection.search_text(text, k, **options)
            hits.append(found)
        rankings = dict(zip(split.queries, map(collection.ranking, hits), strict=True))
        exact = all(h.exact for h in hits)
        cost = collection.cost
        return Answer(
            run=Run(self.title, rankings),
            seconds=seconds,
            search_seconds=np.array([h.search_seconds for h in hits]),
            mode=self._mode(exact),
            sparsity=sparsity(
                collection.documents,
                TermCounts.of([collection.query_vectors(split)], collection.index.n_terms),
            ),
            cost=Cost(
                cost.encode_seconds,
                cost.encode_cached,
                cost.build_seconds,
                cost.index_bytes,
                docs_scored=float(np.mean([h.docs_scored for h in hits])),
            ),
            recall_vs_exact=None if self.exact else collection.recall(split, [h.ordinals for h in hits]),
            recall_curve=() if self.exact else collection.curve(split),
            notes=notes,
            hashes={"index": collection.fingerprint},
        )

    def _mode(self, exact: bool) -> str:
        if exact:
            return "exact" if self.exact else "exact (chosen by the index)"
        return "approximate" if self.accuracy is None else f"approximate (accuracy {self.accuracy:g})"


def tune(bench: Workbench, collection: SparseCollection, accuracy: float) -> tuple[str, ...]:
    """Let the index choose its settings for a recall@10: on dev queries, else on queries made from documents.

    Never on the measured queries, whose recall would then say nothing about others.
    """
    seed, dev = bench.settings.seed, bench.dataset.dev
    vectors = collection.query_vectors(dev) if dev is not None else None
    if vectors is not None and len(vectors) > _TUNE_QUERIES:
        chosen = np.random.default_rng(seed).choice(len(vectors), _TUNE_QUERIES, replace=False)
        vectors = vectors[np.sort(chosen)]
    if accuracy < 1:
        collection.index.tune(vectors, k=RECALL_DEPTH, targets=(accuracy,), seed=seed)
    where = f"{len(vectors)} queries of split {dev.name}" if dev is not None and vectors is not None else ""
    where = where or "queries made from documents (no dev split)"
    return (f"tuned to recall {accuracy:g} at k = {RECALL_DEPTH} on {where}",)
