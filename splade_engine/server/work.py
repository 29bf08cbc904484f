"""Documents are worked on behind one queue, which refuses when it is full; `threads` has the searches.

Encoding documents already uses every core, and an index takes one change at a time: so texts to encode,
documents to put and ids to delete wait in one line, and those of a kind that stand next to each other in it
are done together, up to a budget of tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_engine.engine.notes import with_passages
from splade_engine.errors import InvalidInputError, SpladeEngineError
from splade_engine.server.problems import overloaded, too_slow
from splade_engine.server.settings import Limits

if TYPE_CHECKING:
    from splade_engine.collections import Document
    from splade_engine.engine import SearchEngine
    from splade_engine.server.served import ServedIndex
    from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)
CHARACTERS_PER_TOKEN = 4  # of English and most code; only budgets depend on it


@dataclass(eq=False)
class Job:
    """One request in the line: texts to encode, documents to put or ids to delete."""

    served: ServedIndex
    texts: Sequence[str] = ()
    documents: Sequence[Document] = ()
    ids: Sequence[str] = ()
    future: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def kind(self) -> tuple[int, str]:
        """Jobs of one kind can be done together."""
        return id(self.served), "put" if self.documents else "delete" if self.ids else "encode"

    def cost(self) -> int:
        """Tokens, about."""
        texts = [*self.texts, *(document.indexed_text for document in self.documents)]
        length = self.served.current.encoder.max_length
        return len(self.ids) + sum(1 + min(len(t) // CHARACTERS_PER_TOKEN, length) for t in texts)


@dataclass(frozen=True)
class Written:
    """What became of documents that were put or ids that were deleted.

    Attributes:
        engine: the generation that holds the change.
        count: documents put, or deleted.
        missing: ids that were not there.
        unfindable: documents put, or passages of them, that hold no token which the encoder knows.
    """

    engine: SearchEngine
    count: int
    missing: tuple[str, ...] = ()
    unfindable: tuple[str, ...] = ()


class DocumentQueue:
    """One thread that encodes and writes, in the order in which requests came.

    Attributes:
        waiting: tokens, about, of the requests in the line.
        on_batch: is told how many requests were done together.
    """

    def __init__(self, limits: Limits) -> None:
        self.waiting = 0
        self.on_batch: Callable[[int], None] = lambda requests: None
        self._limits = limits
        self._line: deque[tuple[Job, int]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="documents")
        self._worker: asyncio.Task[None] | None = None

    async def encode(self, served: ServedIndex, texts: Sequence[str]) -> SparseVectors:
        """Document vectors of texts.

        Raises:
            Problem: 429 when the line is full, 408 when it took too long.
        """
        job = self._enter(Job(served, texts=texts))
        try:
            async with asyncio.timeout(self._limits.seconds):
                vectors: SparseVectors = await job.future
        except TimeoutError:
            raise too_slow(f"took more than {self._limits.seconds:g} seconds") from None
        return vectors

    async def put(self, served: ServedIndex, documents: Sequence[Document]) -> Written:
        """Put documents; returns when they can be found, and are on the disk.

        Raises:
            Problem: 429 when the line is full.
            SpladeEngineError: for these documents; nothing of them has been written then.
        """
        return await self._written(Job(served, documents=documents))

    async def delete(self, served: ServedIndex, ids: Sequence[str]) -> Written:
        """Delete documents; returns when they cannot be found any more.

        Raises:
            Problem: 429 when the line is full.
        """
        return await self._written(Job(served, ids=ids))

    async def _written(self, job: Job) -> Written:
        self._enter(job)
        # a change that has begun is not taken back because its client went away
        written: Written = await asyncio.shield(job.future)
        return written

    def _enter(self, job: Job) -> Job:
        cost = job.cost()
        if self.waiting and self.waiting + cost > self._limits.waiting_tokens:
            raise overloaded("too many documents are waiting to be encoded")
        self.waiting += cost
        self._line.append((job, cost))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return job

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._line:
            batch, cost = self._next()
            jobs = [job for job in batch if not job.future.done()]  # the others gave up waiting
            if jobs:
                self.on_batch(len(jobs))
                outcomes = await loop.run_in_executor(self._pool, _do, jobs)
                for job, outcome in zip(jobs, outcomes, strict=True):
                    _tell(job, outcome)
            self.waiting -= cost

    def _next(self) -> tuple[list[Job], int]:
        """The first job of the line, and those behind it that can be done together with it."""
        job, cost = self._line.popleft()
        batch = [job]
        while self._line and self._line[0][0].kind == job.kind:
            more = self._line[0][1]
            if cost + more > self._limits.batch_tokens:
                break
            batch.append(self._line.popleft()[0])
            cost += more
        return batch, cost

    async def close(self) -> None:
        """Finish the line."""
        if self._worker is not None:
            await self._worker
        self._pool.shutdown(wait=True)


def _tell(job: Job, outcome: object) -> None:
    if job.future.done():
        return
    if isinstance(outcome, BaseException):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)


def _do(jobs: Sequence[Job]) -> list[Any]:
    """What each job comes to: a result, or the exception that it raised."""
    try:
        return _together(jobs)
    except InvalidInputError as error:
        if len(jobs) == 1:
            return [error]
        return [_do([job])[0] for job in jobs]  # one of them is to blame, the others are not
    except SpladeEngineError as error:
        return [error] * len(jobs)
    except Exception as error:
        logger.exception("%d requests failed together", len(jobs))
        return [error] * len(jobs)


def _together(jobs: Sequence[Job]) -> list[Any]:
    served, (_, kind) = jobs[0].served, jobs[0].kind
    if kind == "encode":
        vectors = served.current.encoder.encode_documents([text for job in jobs for text in job.texts])
        ends = [0]
        for job in jobs:
            ends.append(ends[-1] + len(job.texts))
        return [vectors[a:b] for a, b in pairwise(ends)]
    if kind == "put":
        newest = {document.id: document for job in jobs for document in job.documents}
        engine = served.write(list(newest.values()))
        empty = _without_terms(engine, list(newest))
        return [
            Written(engine, len(job.documents), (), tuple(chain(*(empty[d.id] for d in job.documents))))
            for job in jobs
        ]
    engine, missing = served.delete([id for job in jobs for id in job.ids])
    gone = set(missing)
    results = []
    for job in jobs:
        absent = [id for id in dict.fromkeys(job.ids) if id in gone]
        results.append(Written(engine, len(set(job.ids)) - len(absent), tuple(absent)))
        gone.update(job.ids)  # whoever asks next for the same id comes too late
    return results


def _without_terms(engine: SearchEngine, ids: Sequence[str]) -> dict[str, list[str]]:
    """For each document what no query finds by its terms: itself, some of its passages, or nothing."""
    index = engine.index
    stored = with_passages(index.reader, ids)
    passages = [passage for those in stored.values() for passage in those]
    counts = np.diff(index.vectors([index.ordinal(passage) for passage in passages]).indptr)
    empty = {passage for passage, count in zip(passages, counts.tolist(), strict=True) if count == 0}
    found = {id: [passage for passage in those if passage in empty] for id, those in stored.items()}
    return {id: [id] if those and those == stored[id] else those for id, those in found.items()}
