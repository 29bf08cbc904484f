"""`Competitors`: for every query of the bank, the documents of a whole corpus that it has to be told from.

A batch holds some thirty documents; a collection holds many thousand, of which a dozen are nearly right for
any query. Encoding those with every batch would cost a step each. But the query of an inference-free student
stands still while its documents are trained. So each query's best hits in a corpus that was encoded before
the first step are found once: by the student and by the dense teacher, with the scores of both and of every
other teacher. In the bank's loss they are further candidates whose scores do not move: learned is where the
batch's own documents belong among them. They are ANCE's negatives (arXiv 2007.00808) between two refreshes,
with scores of teachers in place of labels.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import vstack
from torch import Tensor
from tqdm import tqdm

from splade_engine.atomic_file import atomic_file
from splade_engine.errors import DatasetError
from splade_engine.training import distillation
from splade_engine.training.teachers import DenseTeacher, Rows, Teacher
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)

_QUERIES = 1024  # whose pairs are scored at a time
_SAMPLE = 4096  # queries whose entropies are looked at
_TEXTS = 4096  # embedded between two moves of the bar


@dataclass(frozen=True)
class Competing:
    """The competitors of some queries, B of them, C each.

    Attributes:
        student: float32[B, C], the student's scores before the first step.
        teachers: one float32[B, C] per teacher.
        valid: bool[B, C]: False for padding, and for a document of the batch itself.
    """

    student: Tensor
    teachers: list[Tensor]
    valid: Tensor


class Competitors:
    """See the module.

    Args:
        texts: of the corpus.
        documents: int32[Q, C] numbers in it, -1 where a query has fewer.
        student: float32[Q, C].
        teachers: float32[T, Q, C].
    """

    def __init__(
        self,
        texts: Sequence[str],
        documents: NDArray[np.int32],
        student: NDArray[np.float32],
        teachers: NDArray[np.float32],
    ) -> None:
        self._numbers: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            self._numbers.setdefault(text, []).append(number)
        self.documents = torch.from_numpy(documents)
        self.student = torch.from_numpy(student)
        self.teachers = torch.from_numpy(teachers)

    def of(self, queries: Tensor, batch: Sequence[str], device: torch.device) -> Competing:
        """The competitors of int64[B] queries, apart from the batch's own documents."""
        queries = queries.cpu()
        there = [number for text in dict.fromkeys(batch) for number in self._numbers.get(text, ())]
        found = self.documents[queries]
        valid = (found >= 0) & ~torch.isin(found, torch.tensor(there, dtype=found.dtype))
        teachers = [table[queries].to(device) for table in self.teachers]
        return Competing(self.student[queries].to(device), teachers, valid.to(device))

    def entropies(self, scale: float, weights: Sequence[float] | None = None) -> tuple[float, float]:
        """How sure the student and the teachers' ensemble are: mean entropy in nats of the softmax of their
        scores over each query's competitors (of some thousand queries).

        Args:
            scale, weights: of `distillation.ensemble`.
        """
        some = torch.arange(0, len(self.documents), max(1, len(self.documents) // _SAMPLE))
        valid = self.documents[some] >= 0
        ensemble = distillation.ensemble(
            [table[some] for table in self.teachers], scale=scale, weights=weights, mask=valid
        )
        return _entropy(self.student[some], valid), _entropy(ensemble, valid)


def _entropy(scores: Tensor, valid: Tensor) -> float:
    logs = scores.masked_fill(~valid, torch.finfo(scores.dtype).min / 4).log_softmax(1)
    return float(-(logs.exp() * logs).sum(1).mean())


def find_competitors(
    queries: Sequence[str],
    texts: Sequence[str],
    vectors: Callable[[], tuple[SparseVectors, SparseVectors]],
    teachers: Sequence[Teacher],
    count: int,
    work: Path,
    *,
    progress: bool = False,
) -> Competitors:
    """Search every query in the corpus, or read what an earlier call with this folder found.

    Args:
        queries: Q texts, as in the bank.
        texts: N documents.
        vectors: makes those of the queries and of the documents, by the student as it starts.
        teachers: as the loss has them; the first dense one finds half of the competitors.
        count: C, per query: half from the student, the others the best of the dense teacher that are left.
        work: folder for what is found, so that a run that was cut short does not begin anew.
        progress: bars on stderr.

    Raises:
        DatasetError: if the corpus is empty.
        InvalidInputError: if no teacher is dense.
    """
    stored = work / "found.npz"
    if not stored.is_file():
        if not len(texts):
            raise DatasetError("loss.bank_corpus: there are no documents")
        work.mkdir(parents=True, exist_ok=True)
        count = min(count, len(texts))
        asked, documents = vectors()
        ours = _student_hits(asked, documents, count, work / "index")
        rows = [_teacher_rows(teacher, queries, texts, progress) for teacher in teachers]
        dense = next(pair for pair, t in zip(rows, teachers, strict=True) if isinstance(t, DenseTeacher))
        found = chosen(ours, _dense_hits(*dense, count), count)
        scored = [(asked.to_scipy(), documents.to_scipy()), *rows]
        student, *tables = (pair_scores(*pair, found) for pair in scored)
        with atomic_file(stored) as file:
            np.savez(file, documents=found, student=student, teachers=np.stack(tables))
        logger.info("%d queries have %d competitors each among %d documents", *found.shape, len(texts))
    with np.load(stored, allow_pickle=False) as arrays:
        return Competitors(texts, arrays["documents"], arrays["student"], arrays["teachers"])


def chosen(student: NDArray[np.int64], dense: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """int32[Q, count]: the student's first `count // 2` hits and the dense teacher's best of the others.

    Args:
        student, dense: int[Q, count] document numbers, best first, -1 where there are fewer.
        count: competitors per query.
    """
    half = student[:, : count // 2]
    repeated = (dense[:, :, None] == half[:, None, :]).any(2) | (dense < 0)
    order = np.argsort(repeated, axis=1, kind="stable")[:, : count - half.shape[1]]
    others = np.where(np.take_along_axis(repeated, order, 1), -1, np.take_along_axis(dense, order, 1))
    return np.concatenate((half, others), axis=1).astype(np.int32)


def pair_scores(queries: Rows, documents: Rows, found: NDArray[np.int32]) -> NDArray[np.float32]:
    """float32[Q, C]: inner products of each query's row with its documents', 0 where there is none.

    Args:
        queries: Q rows.
        documents: N rows.
        found: int32[Q, C] numbers of documents or -1.
    """
    scores = np.zeros(found.shape, np.float32)
    for first in range(0, len(found), _QUERIES):
        block = slice(first, min(first + _QUERIES, len(found)))
        row, place = np.nonzero(found[block] >= 0)
        there = documents[found[block][row, place]]
        mine = queries[block]
        if isinstance(there, np.ndarray):
            values = (mine[row] * there).sum(1)
        else:
            values = mine[row].multiply(there).sum(axis=1)
        scores[block][row, place] = values
    return scores


def _student_hits(
    queries: SparseVectors, documents: SparseVectors, count: int, folder: Path
) -> NDArray[np.int64]:
    from splade_engine.index import SparseIndex

    try:
        index = SparseIndex.build(folder, documents, overwrite=True)
        return index.search(queries, k=count, exact=True).ordinals
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dense_hits(queries: Rows, documents: Rows, count: int) -> NDArray[np.int64]:
    import faiss

    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(documents)
    return np.asarray(index.search(queries, count)[1], np.int64)


def _teacher_rows(
    teacher: Teacher, queries: Sequence[str], texts: Sequence[str], progress: bool
) -> tuple[Rows, Rows]:
    parts: list[Rows] = []
    with tqdm(total=len(texts), desc="teacher", unit=" texts", disable=not progress) as bar:
        for first in range(0, len(texts), _TEXTS):
            parts.append(teacher.document_rows(texts[first : first + _TEXTS]))
            bar.update(min(_TEXTS, len(texts) - first))
    asked = teacher.query_rows(queries)
    if isinstance(asked, np.ndarray):
        return asked, np.concatenate(parts)
    for part in parts:
        part.resize(part.shape[0], asked.shape[1])
    return asked, vstack(parts, format="csr")
