"""`QueryBank`: more queries for every batch, at next to no cost.

An inference-free student looks its queries up in a table, so a batch of documents can be scored with any
number of queries: what a step costs is its documents. The bank holds the queries of all sources with their
embeddings by the dense teacher, and finds for each document of a batch those that the teacher places near it,
from the nearest one out to loosely related ones. Their own documents are mostly not in the batch, so the
teachers' order among the others is all there is to learn: no query is answered by a copied phrase.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.documents.corpus import Corpus
from splade_engine.encoder import SparseEncoder
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.shards import encode_corpus
from splade_engine.training.competitors import Competitors, find_competitors
from splade_engine.training.mixture import TrainingSet
from splade_engine.training.probe import encode
from splade_engine.training.recipe import Recipe
from splade_engine.training.start import Start, choose_device
from splade_engine.training.teachers import DenseTeacher, Teacher
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)

UNSURE = 1.5  # times the student's entropy: measured with 1.75, see docs/training.md
FURTHEST = 64  # rank of the most distant query that a document brings along


def ranks(count: int, furthest: int = FURTHEST) -> NDArray[np.int64]:
    """int64[count] ranks from 0 to `furthest`, each once, a geometric series: dense at the near end."""
    if count == 1:
        return np.zeros(1, np.int64)
    spaced = np.floor((furthest + 1) ** (np.arange(count) / (count - 1)) - 1).astype(np.int64)
    return np.maximum(spaced, np.arange(count))


class QueryBank:
    """Queries and where the dense teacher places them.

    Args:
        queries: texts; equal ones count once.
        teacher: embeds them now, and every batch's documents later.
        per_document: queries that each document of a batch brings along.

    Raises:
        DatasetError: if there is no query.
    """

    def __init__(self, queries: Iterable[str], teacher: DenseTeacher, per_document: int) -> None:
        self.texts = list(dict.fromkeys(queries))
        if not self.texts:
            raise DatasetError("loss.bank: the training data has no queries")
        self.teacher = teacher
        self.embeddings = teacher.embed(self.texts)
        self.competitors: Competitors | None = None
        wanted = min(per_document, len(self.texts))
        self.ranks = torch.from_numpy(ranks(wanted, max(min(FURTHEST, len(self.texts) - 1), wanted - 1)))

    def __len__(self) -> int:
        return len(self.texts)

    @torch.inference_mode()
    def near(self, documents: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The queries that a batch of documents brings along, each once, in the bank's order.

        Args:
            documents: M texts.

        Returns:
            int64[B], their numbers in the bank, and the teacher's scores float32[B, M], on its device.
        """
        scores = self.embeddings @ self.teacher.embed_documents(documents).T
        depth = int(self.ranks[-1]) + 1
        nearest = scores.topk(depth, dim=0).indices[self.ranks.to(scores.device)]
        chosen = torch.unique(nearest.flatten())
        return chosen, scores[chosen]


def open_bank(
    recipe: Recipe,
    data: TrainingSet,
    teachers: Sequence[Teacher],
    start: Start,
    cache: Path,
    progress: bool = False,
) -> QueryBank | None:
    """The bank of `loss.bank`: the queries of every source but held-out ones; None where it is not asked for.

    Args:
        recipe: `loss.bank_corpus` gives the queries their `competitors`.
        data: the run's examples.
        teachers: of which one must be dense.
        start: the student before its first step.
        cache: of the run; what took long is kept there for `resume`.
        progress: bars on stderr.

    Raises:
        InvalidInputError: if no teacher is dense, or queries are encoded and not looked up.
        DatasetError, CheckpointError: if the corpus cannot be read, or the base model not encode it.
    """
    loss = recipe.loss
    if not loss.bank:
        return None
    dense = next((teacher for teacher in teachers if isinstance(teacher, DenseTeacher)), None)
    if dense is None or recipe.model.query != "table":
        missing = "model.query = table" if dense else "a dense teacher in loss.teachers"
        raise InvalidInputError(f"recipe {recipe.name}: loss.bank needs {missing}")
    bank = QueryBank(_queries(data), dense, loss.bank_queries)
    if loss.bank_corpus:
        corpus = Corpus(loss.bank_corpus)
        texts = [document.indexed_text for document in corpus]
        work = cache / "competitors"

        def vectors() -> tuple[SparseVectors, SparseVectors]:
            asked = encode(start.student, start.collator(1), bank.texts, "query")
            encoder = SparseEncoder.load(recipe.model.base, device=choose_device(recipe.train.device))
            documents = encode_corpus(corpus, encoder, work / "encoding", progress=progress).vectors()
            return SparseVectors.from_scipy(asked), documents

        bank.competitors = find_competitors(
            bank.texts, texts, vectors, teachers, loss.bank_competitors, work, progress=progress
        )
        student, ensemble = bank.competitors.entropies(loss.bank_scale, loss.teacher_weights or None)
        logger.log(
            logging.WARNING if ensemble > UNSURE * student else logging.INFO,
            "over its competitors a query's scores have an entropy of %.2f nats, the teachers' at "
            "loss.bank_scale = %g one of %.2f: teachers that are less sure take right answers down, a larger "
            "scale makes them surer",
            *(student, loss.bank_scale, ensemble),
        )
    return bank


def _queries(data: TrainingSet) -> Iterator[str]:
    rng = np.random.default_rng(0)
    away = set(data.held_out_rows())
    for k, source in enumerate(data.sources):
        for i in range(len(source)):
            example = None if k == 0 and i in away else source.example(i, rng)
            if example is not None:
                yield example.query
