"""`ServedIndex`: one index of a server.

Requests take the generation that is current and keep it to their end; a new generation is opened beside it
and takes its place in one assignment.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from splade_engine.engine import SearchEngine, changes
from splade_engine.engine.opening import encoder_of
from splade_engine.errors import SpladeEngineError
from splade_engine.server.threads import Pace

if TYPE_CHECKING:
    from splade_engine.collections import Document
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import SparseIndex

logger = logging.getLogger(__name__)

Verify = Literal["full", "offsets"]
_FORESEEN = (SpladeEngineError, OSError)
RETRY = 30.0  # seconds until a generation is tried again: memory or descriptors may have been short


class ServedIndex:
    """An index by name.

    Attributes:
        name: as in the routes.
        path: the folder.
        failures: how many new generations could not be opened.
        refreshes: how many were.
        pace: of plain searches; None where a search waits for other machines.
    """

    def __init__(
        self, name: str, engine: SearchEngine, *, device: str = "auto", remote: bool = False
    ) -> None:
        self.name = name
        self.pace = None if remote else Pace()
        self.path = Path(engine.path)
        self.failures = 0
        self.refreshes = 0
        self._device = device  # where the encoder of an index runs that is built anew with another one
        self._lock = threading.Lock()
        self._current = _pinned(engine, engine.index)
        self._seen = self._stamp()
        self._again = math.inf
        _warm(self._current)
        self.refresh()  # whatever was published between opening and stamping

    @classmethod
    def open(
        cls,
        name: str,
        path: str | Path,
        encoder: SparseEncoder | None = None,
        *,
        verify: Verify = "full",
        device: str = "auto",
    ) -> ServedIndex:
        """Open the index in a folder with the encoder that it names, or with this one.

        Raises:
            SpladeEngineError: as `SearchEngine.open`.
        """
        return cls(name, SearchEngine.open(path, encoder, verify=verify, device=device), device=device)

    @property
    def current(self) -> SearchEngine:
        """The newest generation. It never changes: take it once per request."""
        return self._current

    def take(self, *, newest: bool) -> SearchEngine:
        """The generation for a request, which keeps it to its end.

        Args:
            newest: first take up what another process has published, and wait until that is open. Where
                several processes serve an index, whoever has been told that a document is written must find
                it, whichever process answers next.
        """
        if newest and self.is_stale():
            self.refresh()
        return self._current

    def is_stale(self) -> bool:
        """Whether something else has been published in the folder; one look at a file's times.

        What could not be opened counts again after `RETRY` seconds.
        """
        return self._stamp() != self._seen or time.monotonic() >= self._again

    def refresh(self) -> bool:
        """Move to the generation that is published now. A broken one is not taken: the old one goes on.

        Returns:
            Whether another generation is current now.
        """
        with self._lock:
            seen, before = self._stamp(), self._current
            try:
                self._current = self._newest()
                self._again = math.inf
            except Exception as error:  # whatever it is: who watches must not end with it
                self.failures += 1
                self._again = time.monotonic() + RETRY
                told, trace = str(error) or type(error).__name__, not isinstance(error, _FORESEEN)
                logger.error("%s: a new generation cannot be opened: %s", self.name, told, exc_info=trace)
            self._seen = seen  # from here on nobody waits
            self.refreshes += self._current is not before
            return self._current is not before

    def write(self, documents: Sequence[Document]) -> SearchEngine:
        """Put documents in one commit. Returns the generation that holds them, which is current now.

        Raises:
            SpladeEngineError: as `SearchEngine.update`; nothing has changed then.
        """
        writer = self._writer()
        writer.update(list(documents))
        return self._published(writer)

    def delete(self, ids: Sequence[str]) -> tuple[SearchEngine, list[str]]:
        """Delete the documents that are there, in one commit; of one that was cut, all passages.

        Returns the generation, and the ids that were not there.

        Raises:
            SpladeEngineError: as `SearchEngine.delete`; nothing has changed then.
        """
        writer = self._writer()
        writer._refuse_shared()
        missing = changes.delete(writer.index, ids, missing_ok=True)
        return self._published(writer), missing

    def _writer(self) -> SearchEngine:
        """The newest generation once more: an engine that changes something moves on by itself."""
        self.refresh()
        return _pinned(self._current, self._current.index)

    def _published(self, writer: SearchEngine) -> SearchEngine:
        self.refresh()
        current = self._current
        return current if current.index.generation >= writer.index.generation else writer

    def _newest(self) -> SearchEngine:
        current = self._current
        reader = current.index.reader.newest()
        if reader is current.index.reader:
            return current
        index = type(current.index)(reader)
        rebuilt = not _same(reader.encoder, current.index.encoder)
        engine = current._over(index, encoder_of(index, None, self._device) if rebuilt else None)
        _warm(engine)
        return engine

    def _stamp(self) -> tuple[Any, ...]:
        return self._current.index.stamp()


@asynccontextmanager
async def watched(indexes: Sequence[ServedIndex], seconds: float = 0.5) -> AsyncIterator[None]:
    """Look every `seconds` for new generations, and open them in a thread while the old ones are searched."""
    opener = ThreadPoolExecutor(1, thread_name_prefix="generations")
    watch = asyncio.create_task(_watch(indexes, seconds, opener))
    try:
        yield
    finally:
        watch.cancel()
        opener.shutdown()


async def _watch(indexes: Sequence[ServedIndex], seconds: float, opener: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(seconds)
        for served in indexes:
            if served.is_stale() and await loop.run_in_executor(opener, served.refresh):
                logger.info("%s: generation %d", served.name, served.current.index.generation)


def _pinned(engine: SearchEngine, index: SparseIndex) -> SearchEngine:
    """An engine over one generation, which nobody else moves."""
    return engine._over(type(index)(index.reader))


def _warm(engine: SearchEngine) -> None:
    """Count document frequencies and load kernels before the first query has to wait for it."""
    engine.encode_queries([""])
    first = engine.index.reader.snapshot.live_ordinals()[:1]
    query = engine.index.vectors(first).top_k(8)
    for exact in (False, True) if len(query) else ():
        engine.search_vectors(query, 10, exact=exact)


def _same(a: Mapping[str, str | int] | None, b: Mapping[str, str | int] | None) -> bool:
    return (None if a is None else dict(a)) == (None if b is None else dict(b))
