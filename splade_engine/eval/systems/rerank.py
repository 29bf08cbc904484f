"""Reranking: another model scores the best hits of a system anew."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from splade_engine.engine.rerank import Scorer, checked_scores, cross_encoder
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, within
from splade_engine.eval.systems.bench import asked

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench, Settings


@dataclass(frozen=True)
class Rerank(System):
    """The best `depth` hits of another system in the order of a model's scores; hits below them are dropped.

    Options:
        model: a sentence-transformers CrossEncoder, folder or hub id.
        depth: hits that are scored.
        scorer: in Python, any function instead of a model.
    """

    kind: ClassVar[str] = "rerank"
    needs: ClassVar[range] = range(1, 2)

    model: str = ""
    depth: int = 100
    scorer: Scorer | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        within("depth", self.depth, 1, 100_000)
        if bool(self.model) == (self.scorer is not None):
            raise InvalidInputError("rerank takes a model (a CrossEncoder's folder or hub id), or a scorer")

    @property
    def spec(self) -> str:
        """With the scorer's name in place of a model, where there is one."""
        if self.scorer is None:
            return super().spec
        name = getattr(self.scorer, "__name__", type(self.scorer).__name__)
        return f"rerank({self.parts[0].spec}, model={name}, depth={self.depth})"

    def models(self, settings: Settings) -> dict[str, str]:
        """Hash of the model's files, beside those of the part."""
        name = self.spec
        if self.model:
            from splade_engine.encoder.dense import dense_fingerprint

            name = settings.model(("reranker", self.model), lambda: dense_fingerprint(self.model))
        return {**super().models(settings), f"reranker {self.model}".strip(): name}

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Search, then score."""
        scorer = self.scorer or bench.settings.model(
            ("rerank", self.model), lambda: cross_encoder(self.model)
        )
        first = bench.answer(self.parts[0], split, max(k, self.depth))
        tops = {query: first.run[query].top(self.depth) for query in split.queries}
        documents = bench.texts(doc_id for ranking in tops.values() for doc_id in ranking.ids)
        rankings = {}
        seconds = np.empty(len(split.queries))
        for i, query_id, text in asked(bench, split):
            ids = tops[query_id].ids
            texts = [documents[doc_id].indexed_text for doc_id in ids]
            started = time.perf_counter()
            scores = checked_scores(
                scorer(text, texts) if texts else [], len(ids), f"{self.title}, query {query_id!r}"
            )
            seconds[i] = time.perf_counter() - started + first.seconds[i]
            order = np.argsort(-scores, kind="stable")
            rankings[query_id] = Ranking.in_order([ids[i] for i in order], scores[order]).top(k)
        mode = f"{first.mode}, {self.depth} reranked"
        return Answer(Run(self.title, rankings), seconds, mode=mode)
