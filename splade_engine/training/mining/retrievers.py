"""Who proposes hard negatives, and who judges them: our own index, BM25 or faiss; any teacher.

What a retriever builds is kept in a folder, so that an interrupted mining continues.
"""

from __future__ import annotations

import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from splade_engine.encoder.dense_blocks import read_block, write_block
from splade_engine.errors import DatasetError
from splade_engine.files import digest_of_json
from splade_engine.progress import Progress, ProgressBar
from splade_engine.training.digests import digests_of_models
from splade_engine.training.kept import keep, kept
from splade_engine.training.machine import choose_device
from splade_engine.training.mining.config import GIVEN, MiningConfig
from splade_engine.training.mining.task import MiningTask
from splade_engine.training.teachers.lexical import LexicalTeacher, saturated
from splade_engine.vectors import SparseVectors

PairScorer = Callable[[str, Sequence[str]], NDArray[np.float32]]
"""A teacher's scores of one query with some documents, float32[len(documents)]."""


class Retriever(Protocol):
    """Finds documents of the corpus by number."""

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """int64[len(queries), k] document numbers, best first, -1 where there are fewer."""
        ...


def open_retriever(
    config: MiningConfig, task: MiningTask, work: Path, device: str, progress: Progress
) -> Retriever:
    """The retriever over the task's corpus, or several that take turns; what they build is kept in `work`."""
    opened: list[Retriever] = []
    for number, name in enumerate(config.retrievers):
        kind, _, model = name.partition(":")
        folder = work if len(config.retrievers) == 1 else work / str(number)
        if kind == GIVEN:
            return GivenRetriever(task)
        if kind == "bm25":
            opened.append(Bm25Retriever(task, folder / "bm25", progress))
        elif kind == "sparse":
            opened.append(SparseRetriever(model, task, folder / "index", device, progress))
        else:
            opened.append(DenseRetriever(model, task, folder, device, config.max_length, progress))
    return opened[0] if len(opened) == 1 else Ensemble(opened)


class Ensemble:
    """Several retrievers that take turns: the best hit of each, then the second best of each."""

    def __init__(self, retrievers: Sequence[Retriever]) -> None:
        self._retrievers = list(retrievers)

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """See `Retriever`; int64[len(queries), retrievers * k], every document once."""
        found = np.stack([each.search(queries, k) for each in self._retrievers], axis=2)
        turns = found.reshape(len(queries), -1)
        out = np.full_like(turns, -1)
        for row, wanted in zip(out, turns, strict=True):
            once = list(dict.fromkeys(d for d in wanted.tolist() if d >= 0))
            row[: len(once)] = once
        return out


class GivenRetriever:
    """The negatives that the rows have already.

    Raises:
        DatasetError: if they have none.
    """

    def __init__(self, task: MiningTask) -> None:
        self._of = {query.query: query.negative_ids for query in task.queries}
        self._numbers = task.numbers
        if not any(self._of.values()):
            raise DatasetError(f"retriever {GIVEN}: no row has negatives, so there is nothing to score")

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """See `Retriever`; as many as there are, in their order."""
        del k
        rows = [[self._numbers[i] for i in self._of[query]] for query in queries]
        out = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
        for row, numbers in zip(out, rows, strict=True):
            row[: len(numbers)] = numbers
        return out


class Bm25Retriever:
    """BM25 over stemmed words (`teachers/lexical.py`) in our own index, searched exactly."""

    def __init__(self, task: MiningTask, folder: Path, progress: Progress) -> None:
        from splade_engine.index import SparseIndex

        self._teacher = LexicalTeacher(task.texts())
        self._terms: dict[str, int] = {}
        shutil.rmtree(folder, ignore_errors=True)  # words are numbered as they come: it is made anew
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._index = SparseIndex.build(folder, self._documents(task, progress))

    def _documents(self, task: MiningTask, progress: Progress) -> SparseVectors:
        teacher = self._teacher
        terms, weights, starts = array("i"), array("f"), array("q", [0])
        with ProgressBar(progress, len(task.ids), label="bm25", unit=" texts") as bar:
            for text in bar.over(task.texts()):
                stems = teacher.stems(text)
                counts = Counter(stems)
                length = np.full(1, len(stems) / teacher.average_length, np.float32)
                frequencies = np.fromiter(counts.values(), np.float32, len(counts))
                terms.extend(self._terms.setdefault(stem, len(self._terms)) for stem in counts)
                weights.extend(saturated(frequencies, length, teacher.k1, teacher.b).tolist())
                starts.append(len(terms))
        shape = (len(starts) - 1, max(1, len(self._terms)))
        return SparseVectors.from_scipy(sp.csr_array((weights, terms, starts), shape=shape))

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """See `Retriever`."""
        rows = []
        for query in queries:
            known = {stem for stem in self._teacher.stems(query) if stem in self._terms}
            rows.append({self._terms[stem]: self._teacher.idf(stem) for stem in known})
        vectors = SparseVectors.from_dicts(rows, self._index.n_terms)
        found: NDArray[np.int64] = self._index.search(vectors, k=k, exact=True).ordinals.astype(np.int64)
        return found


class SparseRetriever:
    """Our own encoder and index."""

    def __init__(
        self, model: str | None, task: MiningTask, folder: Path, device: str, progress: Progress
    ) -> None:
        from splade_engine.encoder import SparseEncoder
        from splade_engine.engine import SearchEngine

        encoder = SparseEncoder.load(model, device=device)
        # the manifest holds the digests of all other files, and the index that of its encoder
        made_from, manifest = task.digests, folder / "manifest.json"
        if folder.exists() and not kept(manifest, made_from):
            shutil.rmtree(folder)
        if folder.exists():
            self._engine = SearchEngine.open(folder, encoder)
        else:
            self._engine = SearchEngine.build(
                folder, task.corpus, encoder, allow_empty=True, progress=progress
            )
            keep(manifest, made_from)
        self._numbers = np.array([task.numbers[i] for i in self._engine.index.ids()], np.int64)

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """See `Retriever`."""
        vectors = self._engine.encoder.encode_queries(list(queries))
        ordinals = self._engine.index.search(vectors, k=k).ordinals
        found: NDArray[np.int64] = np.where(ordinals >= 0, self._numbers[ordinals], -1)
        return found


class DenseRetriever:
    """A dense encoder and a flat faiss index; embeddings are kept in blocks, so that encoding resumes."""

    BLOCK = 4096

    def __init__(
        self, model: str, task: MiningTask, work: Path, device: str, max_length: int, progress: Progress
    ) -> None:
        import faiss

        from splade_engine.training.teachers.dense import DenseTeacher

        self._teacher = DenseTeacher(model, device=choose_device(device), max_length=max_length)
        self._model = [*digests_of_models([model]).values(), max_length]
        folder = work / "dense"
        folder.mkdir(parents=True, exist_ok=True)
        self._index: Any = None
        texts = task.texts()
        with ProgressBar(progress, len(task.ids), label="encode", unit=" texts") as bar:
            for number, first in enumerate(range(0, len(task.ids), self.BLOCK)):
                size = min(self.BLOCK, len(task.ids) - first)
                block = [next(texts) for _ in range(size)]
                vectors = self._block(folder / f"{number:06d}.vectors", block)
                if self._index is None:
                    self._index = faiss.IndexFlatIP(vectors.shape[1])
                self._index.add(vectors)
                bar.advance(size)

    def _block(self, path: Path, texts: list[str]) -> NDArray[np.float32]:
        made_from = digest_of_json([self._model, texts]).encode()
        stored = read_block(path, len(texts), made_from)
        if stored is not None:
            return stored
        vectors: NDArray[np.float32] = self._teacher.embed(texts).float().cpu().numpy()
        write_block(path, vectors, made_from)
        return vectors

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """See `Retriever`."""
        vectors = self._teacher.embed(list(queries), query=True).float().cpu().numpy()
        found: NDArray[np.int64] = self._index.search(vectors, k)[1]
        return found


def open_teacher(config: MiningConfig, task: MiningTask, device: str) -> PairScorer | None:
    """The teacher that filters, None where there is none."""
    if not config.teacher:
        return None
    from splade_engine.training.teachers.opening import load_teacher

    teacher = load_teacher(config.teacher, device=choose_device(device), documents=task.texts())

    def score(query: str, documents: Sequence[str]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = teacher([query], documents)[0].numpy()
        return out

    return score
