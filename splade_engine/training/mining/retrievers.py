"""Who proposes hard negatives, and who judges them: our own index or faiss; any teacher.

What a retriever builds is kept in a folder, so that an interrupted mining continues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.files import atomic_file
from splade_engine.progress import Progress, ProgressBar
from splade_engine.training.machine import choose_device
from splade_engine.training.mining.config import MiningConfig
from splade_engine.training.mining.task import MiningTask

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
    """The retriever over the task's corpus; what it builds is kept in `work`."""
    kind, _, model = config.retriever.partition(":")
    if kind == "sparse":
        return SparseRetriever(None if model == "default" else model, task, work / "index", device, progress)
    return DenseRetriever(model, task, work, device, config.max_length, progress)


class SparseRetriever:
    """Our own encoder and index."""

    def __init__(
        self, model: str | None, task: MiningTask, folder: Path, device: str, progress: Progress
    ) -> None:
        from splade_engine.encoder import SparseEncoder
        from splade_engine.engine import SearchEngine

        encoder = SparseEncoder.load(model, device=device)
        if (folder / "manifest.json").is_file():
            self._engine = SearchEngine.open(folder, encoder)
        else:
            self._engine = SearchEngine.build(
                folder, task.corpus, encoder, allow_empty=True, progress=progress
            )
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
        folder = work / "dense"
        folder.mkdir(parents=True, exist_ok=True)
        self._index: Any = None
        texts = task.texts()
        with ProgressBar(progress, len(task.ids), label="encode", unit=" texts") as bar:
            for number, first in enumerate(range(0, len(task.ids), self.BLOCK)):
                size = min(self.BLOCK, len(task.ids) - first)
                block = [next(texts) for _ in range(size)]
                vectors = self._block(folder / f"{number:06d}.npy", block)
                if self._index is None:
                    self._index = faiss.IndexFlatIP(vectors.shape[1])
                self._index.add(vectors)
                bar.advance(size)

    def _block(self, path: Path, texts: list[str]) -> NDArray[np.float32]:
        if path.is_file():
            stored: NDArray[np.float32] = np.load(path, allow_pickle=False)
            if len(stored) == len(texts):
                return stored
        vectors: NDArray[np.float32] = self._teacher.embed(texts).float().cpu().numpy()
        with atomic_file(path) as file:
            np.save(file, vectors, allow_pickle=False)
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
