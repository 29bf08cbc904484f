"""A dense head for a student, fitted in closed form to a dense teacher before the first step.

The large matrix comes from the teacher's static queries (`static_queries.py`) and stays as it is; the
projection, from the student's mean states to the teacher's embeddings, is a first guess by ridge regression
and is trained on (`loss.embed`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.encoder.fast.dense_head import DenseHead, load_dense_head, save_dense_head
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.data.collate import pad
from splade_engine.training.data.opening import interleaved
from splade_engine.training.data.sources import Source
from splade_engine.training.digests import digests_of_models
from splade_engine.training.kept import keep, kept
from splade_engine.training.objective.vectors import Teacher
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.student.build import Start
from splade_engine.training.student.head import mean_pool
from splade_engine.training.student.sparse import SparseStudent
from splade_engine.training.student.tower import Tower
from splade_engine.training.teachers.dense import DenseTeacher
from splade_engine.training.teachers.opening import dense_teacher
from splade_engine.training.teachers.query_bank import QueryBank
from splade_engine.training.teachers.static_queries import (
    FLOOR,
    fit_vectors,
    query_features,
    texts_like_queries,
)

logger = logging.getLogger(__name__)

_DOCUMENTS = 4096  # the mean document and the projection are fitted on
_BATCH = 32
_RIDGE = 0.1  # of the projection; .001 to 1 give the same


def attach_dense_head(
    recipe: Recipe,
    start: Start,
    sources: Sequence[Source],
    teachers: Sequence[Teacher],
    bank: QueryBank | None,
    cache: Path,
) -> None:
    """Give the student the head that `model.dense_head` asks for.

    Args:
        recipe: of the run.
        start: the student, not yet trained.
        sources: whose documents it is fitted on.
        teachers: of the run; one of them is dense.
        bank: of the run, None where it has none.
        cache: keeps the head for a resumed run.

    Raises:
        InvalidInputError: if there is no dense teacher, queries are encoded and not looked up, or the base
            has a dense head already.
        DatasetError: if there is no document.
    """
    teacher = dense_teacher(recipe, teachers, "model.dense_head")
    student = start.student
    if not isinstance(student, SparseStudent) or student.table is None or student.documents.dense_head:
        raise InvalidInputError(
            f"recipe {recipe.name}: model.dense_head: the base has one already, or no masked-LM head"
        )
    file = cache / "dense-head.safetensors"
    models = [recipe.model.base, *(name.partition(":")[2] for name in recipe.loss.teachers)]
    digests = [source.digests() for source in sources]
    made_from = [recipe.to_toml(), list(digests_of_models(models).values()), *digests]
    if not kept(file, made_from):
        documents = interleaved(sources)
        first = list(islice(documents, _DOCUMENTS))
        if not first:
            raise DatasetError("model.dense_head: the training data has no documents")
        embeddings = teacher.embed(first).cpu()
        idf = student.table.detach().clamp(min=0).numpy()
        texts = chain(first, documents)
        vectors = static_vectors(teacher, start.queries, idf, texts, recipe.model.dense_texts, bank)
        projection = fitted_projection(student.documents, start.documents, first, embeddings)
        head = assembled(vectors, embeddings.mean(0).numpy(), projection, recipe.model.dense_head)
        cache.mkdir(parents=True, exist_ok=True)
        save_dense_head(head, file)
        keep(file, made_from)
    head = load_dense_head(file)
    head.project.requires_grad_(True)
    student.documents.dense_head = head


def static_vectors(
    teacher: DenseTeacher,
    tokenizer: TextTokenizer,
    idf: NDArray[np.float32],
    documents: Iterable[str],
    count: int,
    bank: QueryBank | None = None,
) -> NDArray[np.float32]:
    """float32[V, E]: the teacher's static queries in the vocabulary of a student.

    Args:
        teacher: embeds the texts.
        tokenizer: of the student's queries.
        idf: float32[V], the query table; terms without a weight get none here.
        documents: sentences of them are texts to fit on, see `texts_like_queries`.
        count: texts in all.
        bank: its queries are texts too, and embedded already.
    """
    texts = [] if bank is None else bank.texts[:count]
    more = texts_like_queries(documents, count - len(texts), np.random.default_rng(0))
    embeddings = teacher.embed(more)
    if bank is not None:
        embeddings = torch.cat([bank.embeddings[: len(texts)], embeddings])
    rows, _ = tokenizer.encode([*texts, *more], special_tokens=False)
    logger.info("dense head: fitting static queries on %d texts", len(rows))
    return fit_vectors(query_features(rows, idf), embeddings.cpu().numpy())


@torch.no_grad()
def fitted_projection(
    tower: Tower, tokenizer: TextTokenizer, texts: Sequence[str], embeddings: Tensor
) -> NDArray[np.float32]:
    """float32[H + 1, E]: from mean hidden states and a 1 to embeddings, by ridge regression.

    Args:
        tower: of the student.
        tokenizer: of its documents.
        texts: n documents.
        embeddings: float32[n, E], what the teacher makes of them.
    """
    ids, _ = tokenizer.encode(list(texts))
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    means = np.zeros((len(ids), tower.backbone.decoder_weight.shape[1] + 1), np.float32)
    for first in range(0, len(order), _BATCH):
        rows = order[first : first + _BATCH]
        padded, mask = pad([ids[i] for i in rows])
        means[rows, :-1] = mean_pool(tower.backbone.hidden(padded, mask.long()), mask).numpy()
    means[:, -1] = 1
    square = means.T @ means + _RIDGE * np.eye(means.shape[1], dtype=np.float32)
    fitted: NDArray[np.float32] = np.linalg.solve(square, means.T @ embeddings.numpy())
    guess = means @ fitted
    guess /= np.linalg.norm(guess, axis=1, keepdims=True) + 1e-9
    logger.info("dense head: cosine %.3f at the start", float((guess * embeddings.numpy()).sum(1).mean()))
    return fitted


def assembled(
    vectors: NDArray[np.float32], center: NDArray[np.float32], projection: NDArray[np.float32], factor: float
) -> DenseHead:
    """The head whose weights are `max(0, factor m_t . (e - center) - FLOOR)`.

    Args:
        vectors: float32[V, E], m_t.
        center: float32[E], the mean document.
        projection: float32[H + 1, E].
        factor: see above.
    """
    head = DenseHead(len(projection) - 1, vectors.shape[1], len(vectors))
    with torch.no_grad():
        head.project.weight.copy_(torch.from_numpy(projection[:-1].T.copy()))
        head.project.bias.copy_(torch.from_numpy(projection[-1]))
        head.decoder.weight.copy_(torch.from_numpy(factor * vectors))
        head.decoder.bias.copy_(torch.from_numpy(-factor * (vectors @ center) - FLOOR))
    return head
