"""ANCE-style refresh: hard negatives from an index of the model as it is now.

Xiong et al., arXiv 2007.00808.

Every `data.refresh_steps` steps a pool of documents is encoded with the current weights and indexed, the
coming queries are searched in it, and their negatives are drawn from the best `data.refresh_depth` hits that
are not their own positives. Training waits meanwhile (ANCE runs it beside, with stale weights).
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from splade_engine.training.mining.window import Run, Window
from splade_engine.training.student.encode import encode
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)


class NegativeRefresh:
    """Renews the negatives of the coming examples.

    Args:
        trainer: whose model and examples.
        folder: of the run; the index lies in its cache for as long as it is searched.
    """

    def __init__(self, trainer: Run, folder: Path) -> None:
        self.trainer, self.folder = trainer, folder / "cache" / "refresh"
        self.every = trainer.recipe.data.refresh_steps
        self.window = Window(trainer, self.every, "data.refresh_steps")

    def __call__(self, step: int) -> None:
        """Called after every step (and with 0 before the first one)."""
        if step % self.every:
            return
        data, settings = self.trainer.training_set, self.trainer.recipe.data
        done, coming = self.window.at(step)
        if not coming:
            return
        rng = np.random.default_rng([self.trainer.recipe.train.seed, 4, step])
        examples = [(data.number(i), data[i]) for i in coming]
        pool = self._pool([e.positives[0] for _, e in examples], rng)
        hits = self._search([e.query for _, e in examples], pool, settings.refresh_depth)
        negatives = {}
        for (number, example), row in zip(examples, hits, strict=True):
            own = set(example.positives)
            found = [pool[d] for d in row if d >= 0 and pool[d] not in own]
            take = sorted(rng.permutation(len(found))[: settings.negatives].tolist())
            negatives[number] = tuple(found[t] for t in take)
        data.refresh(negatives, keep_from=done)
        logger.info(
            "step %d: new negatives for %d examples from %d documents", step, len(negatives), len(pool)
        )

    def _pool(self, positives: list[str], rng: np.random.Generator) -> list[str]:
        """The coming positives and documents from all over the sources."""
        data, limit = self.trainer.training_set, self.trainer.recipe.data.refresh_documents
        pool = dict.fromkeys(positives)
        for source, share in zip(data.sources, data.shares, strict=True):
            rows = rng.permutation(len(source))[: int(2 * limit * share)]
            for row in rows:
                if len(pool) >= limit:
                    break
                example = source.example(int(row), rng)
                if example is not None:
                    pool.update(dict.fromkeys((*example.positives, *example.negatives)))
        return list(pool)

    def _search(self, queries: list[str], pool: list[str], depth: int) -> Any:
        """int64[queries, depth + 1] document numbers, -1 where there are fewer hits."""
        from splade_engine.index import SparseIndex

        student = self.trainer.student
        collator = self.trainer.collator
        training = student.training
        student.eval()
        documents = SparseVectors.from_scipy(encode(student, collator, pool, "document"))
        vectors = SparseVectors.from_scipy(encode(student, collator, queries, "query"))
        student.train(training)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            index = SparseIndex.build(self.folder, documents)
            return index.search(vectors, k=min(depth + 1, len(pool))).ordinals
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
