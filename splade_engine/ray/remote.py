"""A collection whose shards other processes search: `RemoteIndex`, and what each of them does, `Shard`.

The router opens the whole collection as `ShardedIndex` does. It maps the files and reads of them what it
shows: ids, texts, vectors of hits. Only searching is handed out, since that is what takes memory and
processors: every shard is asked for its own best k of the very generation that the router has open, and the
answers are merged as those of segments are. So ids, scores and the order of equal ones are those of
`ShardedIndex`, whichever generations are published meanwhile.

Nothing here knows Ray: whoever can send a `Request` to a `Shard` is an `Asker`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Unpack

import numpy as np

from splade_engine.errors import (
    IndexCorruptError,
    IndexNotFoundError,
    IndexVersionError,
    InvalidInputError,
    ShardUnavailableError,
    SpladeEngineError,
    StorageError,
)
from splade_engine.index import IndexReader, ShardedIndex
from splade_engine.index.arguments import check_queries
from splade_engine.index.effort import Effort, EffortOptions, effort_of
from splade_engine.index.filter.nodes import Filter, Where
from splade_engine.index.filter.parse import parse_where
from splade_engine.index.search import (
    MAX_K,
    SearchResult,
    best_of,
    check_filter,
    check_k,
    matching_documents,
)
from splade_engine.index.sharded_reader import ShardedReader
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)
Missing = Literal["error", "tell"]
# errors of what a shard holds; another replica may have it whole
_OF_A_SHARD = (IndexCorruptError, IndexNotFoundError, IndexVersionError, StorageError)
KEPT = 3  # generations that a shard keeps open: routers take up a new one at different moments


@dataclass(frozen=True)
class Request:
    """What a shard is asked: queries, of a generation."""

    # of the generation, see `IndexInfo.fingerprint`
    fingerprint: str
    queries: SparseVectors
    k: int
    effort: Effort
    # whose columns the router has checked over all shards: this one need not have them
    where: Filter | None = None


class Shard:
    """Searches one index of a collection, in a process of its own."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        self._readers = [IndexReader.open(path, "offsets")]

    def search(self, request: Request) -> SearchResult | None:
        """The best k of this shard, by its own ordinals; None where the generation is not to be had here.

        Raises:
            InvalidInputError: as `IndexReader.search`.
        """
        reader = self._reader(request.fingerprint)
        return None if reader is None else searched(reader, request)

    def _reader(self, fingerprint: str) -> IndexReader | None:
        with self._lock:
            for reader in self._readers:
                if reader.snapshot.fingerprint == fingerprint:
                    return reader
            newest = self._readers[0].newest()
            if newest is not self._readers[0]:
                self._readers = [newest, *self._readers[: KEPT - 1]]
            return newest if newest.snapshot.fingerprint == fingerprint else None


def searched(reader: IndexReader, request: Request) -> SearchResult:
    """What a shard answers."""
    if request.where is not None:
        matching_documents(reader.snapshot, request.where)  # kept, so that columns are not looked for here
    return reader.search(request.queries, _width(reader, request), effort=request.effort, where=request.where)


def checked(found: SearchResult | None, reader: IndexReader, request: Request) -> SearchResult | None:
    """An answer that came from elsewhere, where it can be merged with others.

    Raises:
        ValueError: it is no answer to this request; a process of another release may send such.
    """
    if found is None:
        return None
    shape, most = (len(request.queries), _width(reader, request)), int(reader.snapshot.bases[-1])
    ordinals, scores = np.asarray(found.ordinals), np.asarray(found.scores)
    whole = ordinals.shape == scores.shape == shape and found.docs_scored.shape == shape[:1]
    if not whole or not ((ordinals >= -1) & (ordinals < most)).all() or np.isnan(scores).any():
        raise ValueError("its answer is none to this request")
    return found


def _width(reader: IndexReader, request: Request) -> int:
    """Hits that are asked of a shard: k may be more than it takes, where all shards together hold so many."""
    return min(request.k, max(MAX_K, int(reader.snapshot.bases[-1])))


class Pending(Protocol):
    """An answer on its way."""

    def result(self, timeout_s: float | None = None) -> SearchResult | None:
        """Wait for it.

        Raises:
            TimeoutError: it has not come.
            Exception: whatever has become of the shard.
        """
        ...


class Asker(Protocol):
    """Sends requests to a shard; each may go to another of its replicas."""

    def __call__(self, request: Request) -> Pending:
        """Send it; returns at once."""
        ...


@dataclass(frozen=True)
class Routing:
    """Who searches which shard, and what is done where one does not answer."""

    # by folder; a shard of no asker is searched by the router itself
    askers: Mapping[Path, Asker]
    # Where a shard does not answer: an error, or the hits of the others, which say what is missing.
    missing: Missing = "error"
    # that an answer may take; asked again, half as long
    seconds: float = 4.0
    # after the first: a replica that has died is replaced or left out meanwhile
    retries: int = 2

    def __post_init__(self) -> None:
        if self.missing not in ("error", "tell"):
            raise InvalidInputError(f"missing must be one of error, tell, got {self.missing!r:.60}")


@dataclass(frozen=True)
class _Unsent:
    """The answer to a request that could not be sent."""

    failure: Exception

    def result(self, timeout_s: float | None = None) -> SearchResult | None:
        raise self.failure


def _sent(asker: Asker, request: Request) -> Pending:
    try:
        return asker(request)
    except Exception as failure:
        return _Unsent(failure)


class RemoteReader(ShardedReader):
    """One generation of a collection, whose shards other processes search."""

    def __init__(self, opened: ShardedReader, routing: Routing) -> None:
        super().__init__(opened.path, opened.shards, opened.record, opened._verify)
        self._routing = routing

    def newest(self) -> RemoteReader:
        """See `ShardedReader.newest`."""
        found = super().newest()
        return self if found is self else RemoteReader(found, self._routing)

    def search(
        self,
        queries: SparseVectors,
        k: int = 10,
        *,
        effort: Effort | None = None,
        threads: int = 1,
        where: Where | None = None,
        **shorthand: Unpack[EffortOptions],
    ) -> SearchResult:
        """See `IndexReader.search`; all shards search at the same time, whatever `threads` says.

        Raises:
            ShardUnavailableError: a shard does not answer, and `Routing.missing` is "error"; names it.
        """
        effort = effort_of(effort, **shorthand)
        check_k(k, int(self.snapshot.bases[-1]))
        check_queries(queries, self.n_terms)
        part = None if where is None else parse_where(where)
        if part is not None:
            check_filter(self.snapshot, part)
        requests = [Request(shard.snapshot.fingerprint, queries, k, effort, part) for shard in self.shards]
        return self._merged(self._answers(requests), len(queries), k)

    def _answers(self, requests: Sequence[Request]) -> list[SearchResult | None]:
        """What each shard has found; None where it does not answer and the hits may lack its documents.

        Those that have not answered are asked again together, so that several take no longer than one.
        """
        routing, paths = self._routing, [shard.path for shard in self.shards]
        waiting = [number for number, path in enumerate(paths) if path in routing.askers]
        # searched by the router: shards of no asker, and replicas that began after another generation was
        # published; the router has this one open
        here = set(range(len(paths))) - set(waiting)
        answers: list[SearchResult | None] = [None] * len(paths)
        error = ""
        for attempt in range(routing.retries + 1):
            sent = [(number, _sent(routing.askers[paths[number]], requests[number])) for number in waiting]
            end = time.monotonic() + (routing.seconds / 2 if attempt else routing.seconds)
            waiting = []
            for number, pending in sent:
                try:
                    found = pending.result(timeout_s=max(0.01, end - time.monotonic()))
                    answers[number] = checked(found, self.shards[number], requests[number])
                except Exception as failure:
                    if isinstance(failure, SpladeEngineError) and not isinstance(failure, _OF_A_SHARD):
                        raise  # the request is at fault, and would be again
                    error = f"{type(failure).__name__}: {failure}".splitlines()[0]
                    logger.warning("%s does not answer (attempt %d): %s", paths[number], attempt + 1, error)
                    waiting.append(number)
                    continue
                if found is None:
                    here.add(number)
        if waiting and routing.missing == "error":
            names = ", ".join(paths[number].name for number in waiting)
            what = "the shard does not answer" if len(waiting) == 1 else "the shards do not answer"
            raise ShardUnavailableError(f"{names}: {what}; try again ({error:.200})")
        for number in here:
            answers[number] = searched(self.shards[number], requests[number])
        return answers

    def _merged(self, answers: Sequence[SearchResult | None], n_queries: int, k: int) -> SearchResult:
        sizes = [int(shard.snapshot.bases[-1]) for shard in self.shards]
        bases = np.cumsum([0, *sizes])[:-1].tolist()
        found = [
            (np.where(answer.ordinals >= 0, answer.ordinals + base, -1), answer.scores)
            for answer, base in zip(answers, bases, strict=True)
            if answer is not None
        ]
        ordinals, scores = best_of(found, n_queries, k)
        given = [answer for answer in answers if answer is not None]
        missing = [shard.path.name for shard, a in zip(self.shards, answers, strict=True) if a is None]
        return SearchResult(
            ordinals,
            scores,
            np.sum([np.zeros(n_queries, np.int64), *(answer.docs_scored for answer in given)], axis=0),
            not missing and all(answer.exact for answer in given),
            self.snapshot.ids,
            tuple(missing),
        )


class RemoteIndex(ShardedIndex):
    """A collection whose shards other processes search. Made by `route`."""

    @classmethod
    def route(cls, index: ShardedIndex, routing: Routing) -> RemoteIndex:
        """The same generation of an opened collection, searched by way of `routing`."""
        return cls(RemoteReader(index._reader, routing))
