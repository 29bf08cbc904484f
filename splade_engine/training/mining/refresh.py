"""ANCE: hard negatives from an index of the model as it is now.

Xiong et al., arXiv 2007.00808.

Every `data.refresh_steps` steps a pool of documents is encoded with the current weights and indexed, the
coming queries are searched in it, and their negatives are drawn from the best `data.refresh_depth` hits that
are not positives of theirs. Training waits meanwhile, or with `data.refresh_beside` goes on, as in the paper:
another process does it (`beside.py`), and its negatives are those of the weights of `refresh_steps` steps
ago.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from splade_engine.training.data.examples import Example
from splade_engine.training.mining.beside import Beside
from splade_engine.training.mining.hunt import Hunt, found_in
from splade_engine.training.mining.window import Run, Window
from splade_engine.training.student.encode import encode
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)


class NegativeRefresh:
    """Renews the negatives of the coming examples.

    Args:
        trainer: whose model and examples.
        folder: of the run; index and hunts lie in its cache.
        run: tells this run from others.
    """

    def __init__(self, trainer: Run, folder: Path, run: str = "") -> None:
        self.trainer, self.folder = trainer, folder / "cache" / "refresh"
        self.every = trainer.recipe.data.refresh_steps
        self.window = Window(trainer, self.every, "data.refresh_steps")
        self.beside = Beside(self.folder, run) if trainer.recipe.data.refresh_beside else None

    def __call__(self, step: int) -> None:
        """Called after every step (and with 0 before the first one)."""
        if step % self.every:
            return
        done, coming = self.window.at(step)
        if self.beside is None:
            if coming:
                self._renew(self._hunted_here(self._hunt(coming, step)), done, step)
            return
        if step and coming:
            self._renew(self.beside.negatives(step - self.every), done, step)
        _, later = self.window.at(step + self.every)
        if later:
            collator = self.trainer.collator
            hunt = self._hunt(later, step)
            self.beside.start(step, hunt, self.trainer.student, collator.documents, collator.queries)

    def close(self) -> None:
        """End what is still running."""
        if self.beside is not None:
            self.beside.close()

    def _renew(self, negatives: dict[int, tuple[str, ...]], done: int, step: int) -> None:
        self.trainer.training_set.refresh(negatives, keep_from=done)
        logger.info("step %d: new negatives for %d examples", step, len(negatives))

    def _hunt(self, coming: Sequence[int], step: int) -> Hunt:
        """What is searched for: the queries of these examples, in documents from all over the sources."""
        data, settings = self.trainer.training_set, self.trainer.recipe.data
        rng = np.random.default_rng([self.trainer.recipe.train.seed, 4, step])
        examples = [(data.number(i), data[i]) for i in coming]
        positives: dict[str, set[str]] = {}

        def noted(example: Example) -> Example:
            positives.setdefault(example.query, set()).update(example.positives)
            return example

        pool = self._pool([noted(e).positives[0] for _, e in examples], rng, noted)
        place = {text: i for i, text in enumerate(pool)}
        return Hunt(
            numbers=[number for number, _ in examples],
            queries=[e.query for _, e in examples],
            own=[sorted(place[t] for t in positives[e.query] if t in place) for _, e in examples],
            pool=pool,
            length=self.trainer.collator.documents.max_length,
            depth=settings.refresh_depth,
            negatives=settings.negatives,
            seed=rng.integers(1 << 62, size=2).tolist(),
        )

    def _pool(
        self, positives: Iterable[str], rng: np.random.Generator, noted: Callable[[Example], Example]
    ) -> list[str]:
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
                    noted(example)
                    pool.update(dict.fromkeys((*example.positives, *example.negatives)))
        return list(pool)

    def _hunted_here(self, hunt: Hunt) -> dict[int, tuple[str, ...]]:
        student, collator = self.trainer.student, self.trainer.collator
        training = student.training
        student.eval()
        documents = SparseVectors.from_scipy(encode(student, collator, hunt.pool, "document"))
        queries = SparseVectors.from_scipy(encode(student, collator, hunt.queries, "query"))
        student.train(training)
        try:
            return hunt.drawn(found_in(self.folder / "index", documents, queries, hunt.hits))
        finally:
            shutil.rmtree(self.folder / "index", ignore_errors=True)
