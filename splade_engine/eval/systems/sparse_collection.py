"""A dataset encoded by one sparse encoder, and indexed: what every system over those vectors shares."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.neighbours import Neighbours, NeighbourSettings
from splade_engine.engine.encoding import MAX_SHARD_DOCS, EncodedCorpus, encode_corpus
from splade_engine.engine.query_weights import QueryEncoder
from splade_engine.errors import IndexLockedError
from splade_engine.eval.measures.sparsity import TermCounts
from splade_engine.eval.run.results import Cost
from splade_engine.eval.run.runs import Ranking
from splade_engine.files import digest_64
from splade_engine.files.ours import ENCODING
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.collections.corpus import Corpus
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench, Encodings, Settings
    from splade_engine.index import SparseIndex

logger = logging.getLogger(__name__)

_SHARD = 1024  # documents
PATIENCE = 300.0  # seconds that another evaluation may take for a shard before it is taken for stopped
_POLL = 0.2  # seconds


@dataclass(frozen=True)
class SparseHits:
    """One query's hits by ordinal, and the times that they took."""

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]
    search_seconds: float
    docs_scored: int
    exact: bool


class SparseCollection:
    """A dataset encoded by one sparse encoder, and indexed.

    Attributes:
        encoder: the SparseEncoder.
        index: the SparseIndex over the vectors.
        ids: document ids by ordinal.
        parts: the encoded parts of the corpus, in order, as they are before they lend.
        cost: of encoding and building.
        fingerprint: of the index as it was built.
        documents: term counts of the document vectors.
    """

    def __init__(self, bench: Bench, source: Any, idf: str = "collection", adapt: bool = False) -> None:
        from splade_engine.index import SparseIndex

        settings = bench.settings
        self.encoder = shared_encoder(settings, source)
        fingerprint = self.encoder.fingerprint()
        self.parts, seconds, cached = self._encode(bench, fingerprint)
        self.ids = [doc_id for encoded in self.parts for doc_id in encoded.ids()]
        started = time.perf_counter()
        batches: Callable[[], Iterator[SparseVectors]] = partial(chain.from_iterable, self.parts)
        if adapt:
            batches = _adapted(self.parts)
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        self._folder = bench.scratch(f"index-{fingerprint['hash']}-{idf}{'-adapted' if adapt else ''}")
        self.index: SparseIndex = SparseIndex.build(
            self._folder,
            batches(),
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
        self._encode_queries = QueryEncoder(self.encoder, collection=idf == "collection")
        self.documents = TermCounts.of(batches(), self.index.n_terms)
        self._query_vectors: dict[str, SparseVectors] = {}
        self._tuned: dict[tuple[float, int], SparseIndex] = {}

    def _encode(
        self, bench: Bench, fingerprint: dict[str, str | int]
    ) -> tuple[list[EncodedCorpus], float, bool]:
        """Every part of the corpus; the seconds, of earlier attempts too; whether all was cached."""
        parts, total, now = [], 0.0, 0.0
        for corpus in bench.dataset.parts:
            encodings = bench.encodings(corpus, "sparse", fingerprint)
            clock = _Clock(self.encoder)
            try:
                parts.append(_encoded(corpus, clock, encodings, bench))
            finally:
                total += encodings.add_seconds(clock.seconds) if clock.seconds else encodings.seconds()
                now += clock.seconds
        return parts, total, now == 0

    def query_vectors(self, split: Split) -> SparseVectors:
        """The queries of a split, encoded in one batch."""
        if split.name not in self._query_vectors:
            texts = list(split.queries.values())
            self._query_vectors[split.name] = self._encode_queries(texts, self.index.reader)
        return self._query_vectors[split.name]

    def tuned(self, accuracy: float, k: int, queries: SparseVectors | None, seed: int) -> SparseIndex:
        """A second index over the same files, tuned to recall `accuracy` at `k`.

        Tuning is stored in an index and changes what it does by default, so it must not reach the one that
        other systems search. Only the manifest is written anew; the large files are linked.
        """
        key = (accuracy, k)
        if key not in self._tuned:
            folder = self._folder.with_name(f"{self._folder.name}-tuned-{len(self._tuned)}")
            shutil.copytree(self._folder, folder, copy_function=_link)
            index = type(self.index).open(folder)
            index.tune(queries, k=min(k, len(self.ids)), targets=(accuracy,), seed=seed)
            self._tuned[key] = index
        return self._tuned[key]

    def search(
        self, vectors: SparseVectors, k: int, index: SparseIndex | None = None, **options: Any
    ) -> SparseHits:
        """Search one encoded query, in the index or a tuned one."""
        started = time.perf_counter()
        result = (index or self.index).search(vectors, k=k, threads=1, **options)
        seconds = time.perf_counter() - started
        found = result.ordinals[0] >= 0
        scored = int(result.docs_scored[0])
        return SparseHits(result.ordinals[0][found], result.scores[0][found], seconds, scored, result.exact)

    def search_text(
        self, text: str, k: int, index: SparseIndex | None = None, **options: Any
    ) -> tuple[SparseHits, float]:
        """Encode and search one query; also the seconds of both together."""
        started = time.perf_counter()
        vectors = self._encode_queries([text], self.index.reader)
        hits = self.search(vectors, k, index, **options)
        return hits, time.perf_counter() - started

    def ranking(self, hits: SparseHits) -> Ranking:
        """Hits with the documents' ids."""
        return Ranking.in_order([self.ids[i] for i in hits.ordinals.tolist()], hits.scores)


def _adapted(parts: Sequence[EncodedCorpus]) -> Callable[[], Iterator[SparseVectors]]:
    """The vectors of a corpus with what documents lend one another; a call goes through them."""
    vectors = SparseVectors.concat([batch for part in parts for batch in part])
    lent = Neighbours(vectors, NeighbourSettings()).lend(vectors)
    return lambda: iter([lent])


def _encoded(corpus: Corpus, clock: _Clock, encodings: Encodings, bench: Bench) -> EncodedCorpus:
    """A corpus in the cache, or beside it where another process holds it and does not go on.

    Another evaluation of the same collection is waited for, because what it encodes is what is needed here.
    """

    def encode(folder: Path) -> EncodedCorpus:
        return encode_corpus(
            corpus,
            clock,
            folder,
            shard_docs=_shard_docs(encodings),
            restart=True,  # a cache: what another version left there is made again
            progress=bench.settings.progress,
        )

    seen, since, told = -1, 0.0, False
    while True:
        try:
            return encode(encodings.folder)
        except IndexLockedError as error:
            there = len(list(encodings.folder.glob("*")))
            if there != seen:
                seen, since = there, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                logger.warning("%s and has written nothing for %.0f s: encoding without it", error, PATIENCE)
                return encode(bench.scratch(encodings.folder.name))
            if not told:
                logger.info("%s: waiting for it", error)
                told = True
            time.sleep(_POLL)


def _shard_docs(encodings: Encodings) -> int | None:
    """Shards of ten seconds, or a 500th of a large corpus; those of an encoding that was begun stay.

    The encoder shares out a shard's batches among its threads, which wait for one another at its end: the
    fewer ends, the better.
    """
    if (encodings.folder / ENCODING).exists():
        return None
    return min(max(_SHARD, encodings.n_docs // 500), MAX_SHARD_DOCS)


def _link(source: str, target: str) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


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


def encoder_hash(settings: Settings, encoder: str = "") -> dict[str, str]:
    """Name and hash of a sparse encoder ("" for the one of the settings): what `System.models` says of it."""
    loaded = shared_encoder(settings, encoder or settings.encoder)
    identity = {name: value for name, value in loaded.fingerprint().items() if name != "name"}
    short = f"{digest_64(json.dumps(identity, sort_keys=True).encode()):016x}"
    return {f"encoder {encoder}".strip(): f"{loaded.name} {short}"}


def sparse_collection(
    bench: Bench, encoder: str = "", idf: str = "collection", *, adapt: bool = False
) -> SparseCollection:
    """The dataset under a sparse encoder ("" for the one of the settings), made once."""
    source = encoder or bench.settings.encoder
    key = ("sparse", str(source), idf, adapt)
    return bench.resource(key, lambda: SparseCollection(bench, source, idf, adapt))
