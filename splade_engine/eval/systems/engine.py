"""`SearchEngine` as a system under evaluation: terms, words as they are written, or both."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, one_of, within
from splade_engine.eval.systems.bench import asked
from splade_engine.eval.systems.sparse_collection import encoder_hash, sparse_collection

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.engine import Hybrid, SearchEngine
    from splade_engine.eval.systems.bench import Bench, Settings

FUSIONS = ("default", "off", "sum", "rrf")


@dataclass(frozen=True)
class Engine(System):
    """A `SearchEngine` over titles and texts, searched exactly; see `splade_engine.engine.fusion`.

    The signs of a query (`+word`, `-word`, quotes) are read as plain text, as by every other system.

    Options:
        hybrid: `default` counts words as they are written only where a query holds such as no one says
            otherwise; `off` searches by terms; `sum` and `rrf` fuse with the BM25 of all words.
        weight: of the words' side, in place of the fusion's own; for `sum` and `rrf`.
        encoder: another checkpoint than that of the settings.
    """

    kind: ClassVar[str] = "engine"

    hybrid: str = "default"
    weight: float | None = None
    encoder: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("hybrid", self.hybrid, FUSIONS)
        if self.weight is not None:
            within("weight", self.weight, 0, 1e6)
            if self.hybrid not in ("sum", "rrf"):
                raise InvalidInputError(f"weight belongs to hybrid=sum and hybrid=rrf, not to {self.hybrid}")

    def models(self, settings: Settings) -> dict[str, str]:
        """Hash of the checkpoint."""
        return encoder_hash(settings, self.encoder)

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Search the queries one by one."""
        collection = sparse_collection(bench, self.encoder)
        started = time.perf_counter()
        engine = bench.resource(("engine", self.encoder), lambda: _engine(bench, self.encoder))
        built = time.perf_counter() - started
        depth, fusion = min(k, max(1, len(engine))), self._fusion()
        rankings, seconds = {}, np.empty(len(split.queries))
        engine.search(next(iter(split.queries.values())), depth, exact=True)  # loads the compiled kernels
        for i, query_id, text in asked(bench, split):
            started = time.perf_counter()
            hits = engine.search(text, depth, exact=True, operators=False, hybrid=fusion)
            seconds[i] = time.perf_counter() - started
            scores = np.array([hit.score for hit in hits], np.float32)
            rankings[query_id] = Ranking.in_order([hit.id for hit in hits], scores)
        held = engine.index.info()
        cost = replace(collection.cost, build_seconds=built, index_bytes=held.total_bytes)
        return Answer(Run(self.title, rankings), seconds, cost=cost, hashes={"index": held.fingerprint})

    def _fusion(self) -> Hybrid | Literal[False] | None:
        from splade_engine.engine.fusion import hybrid_of, weighted

        if self.hybrid in ("default", "off"):
            return None if self.hybrid == "default" else False
        return weighted(hybrid_of(self.hybrid), self.weight)


def _engine(bench: Bench, encoder: str) -> SearchEngine:
    """The vectors of the dataset with its titles, texts and lists of words."""
    from splade_engine.engine import SearchEngine
    from splade_engine.index import BuildConfig, SparseIndex

    collection = sparse_collection(bench, encoder)
    folder = bench.scratch(f"engine-{collection.encoder.fingerprint()['hash']}")
    index = SparseIndex.build(
        folder,
        chain.from_iterable(part.batches() for part in collection.parts),
        encoder=collection.encoder.fingerprint(),
        config=BuildConfig(words=True),
        threads=bench.settings.threads,
    )
    return SearchEngine(folder, index, collection.encoder)
