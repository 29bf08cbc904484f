"""Where searches run: in a few threads, or at once where they are known to be quick.

Kernels release the GIL, so searches run side by side. But a search of a third of a millisecond costs less
than handing it to another thread and back: both threads then want the GIL at the same time, and one of them
waits for it up to 5 ms (Python's switch interval). So where plain searches have been quick so far, the next
one runs where its request was read; one that turns out slow sends those behind it to the threads for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from splade_engine.server.problems import overloaded, too_slow
from splade_engine.server.settings import Limits

Result = TypeVar("Result")
QUICK = 0.002  # seconds: what other requests may wait for one that is not handed to a thread
FORGOTTEN = 0.9  # of what a slow search says about the next one: 50 ms count for some thirty more searches


class Pace:
    """How long searches of one kind have taken lately."""

    def __init__(self) -> None:
        self._seconds = float("inf")  # nothing is known of the first: a thread finds out

    @property
    def is_quick(self) -> bool:
        """Whether the next one is expected to be."""
        return self._seconds < QUICK

    def took(self, seconds: float) -> None:
        """Learn from one more: a slower one counts at once, quicker ones little by little."""
        known = self._seconds if self._seconds < float("inf") else seconds
        self._seconds = max(seconds, FORGOTTEN * known + (1 - FORGOTTEN) * seconds)


class SearchThreads:
    """A pool of threads that as many requests may wait for as the limits say.

    Attributes:
        busy: requests that run or wait.
    """

    def __init__(self, limits: Limits) -> None:
        self.busy = 0
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="search")

    @property
    def full(self) -> bool:
        """Whether the next request is refused."""
        return self.busy >= self._limits.threads + self._limits.waiting

    async def run(self, call: Callable[[], Result], pace: Pace | None = None) -> Result:
        """The result of a call in one of the threads, or in this one.

        Args:
            call: what is done.
            pace: of calls of its kind; one that is expected to be quick runs here and now.

        Raises:
            Problem: 429 when full, 408 when it took too long (one that waits is then never begun).
        """
        if self.full:
            raise overloaded(f"{self._limits.waiting} requests are waiting already")
        if pace is None:
            return await self._in_thread(call)
        if not pace.is_quick:
            return await self._in_thread(lambda: _timed(call, pace, time.thread_time))
        return _timed(call, pace, time.perf_counter)  # reading a page from the disk counts here

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        loop = asyncio.get_running_loop()
        future: Future[Result] = self._pool.submit(call)
        self.busy += 1
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise too_slow(f"took more than {self._limits.seconds:g} seconds") from None

    def _done(self) -> None:
        self.busy -= 1

    def close(self) -> None:
        """Finish what runs."""
        self._pool.shutdown(wait=True)


def _timed(call: Callable[[], Result], pace: Pace, clock: Callable[[], float]) -> Result:
    """Waiting for the GIL is no fault of the search, so in a thread `clock` counts processor time."""
    began = clock()
    try:
        return call()
    finally:
        pace.took(clock() - began)
