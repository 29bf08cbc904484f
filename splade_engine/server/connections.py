"""Connections whose clients stop in the middle, which are closed after a while.

uvicorn waits for ever for the rest of a request's head, and for a client that does not read its answer;
`timeout_keep_alive` is about the time between requests. `bodies.py` bounds the wait for a body.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol


@dataclass(frozen=True, slots=True)
class BoundedConnections:
    """Makes uvicorn's protocols, as its class does: for the setting `http` of `uvicorn.Config`.

    Args:
        seconds: within which a head has to arrive, and some of an answer to be read.
    """

    seconds: float

    def __call__(self, **given: Any) -> asyncio.Protocol:
        """The protocol of one connection."""
        return _Connection(AutoHTTPProtocol(**given), self.seconds)


class _Connection(asyncio.Protocol):
    """One connection, which uvicorn's protocol does all the work of.

    Args:
        inner: h11's or httptools'; both have a new `cycle` for each request whose head is complete.
        seconds: see `BoundedConnections`.
    """

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        before = self._inner.cycle
        if before is None or before.response_complete:  # the next request begins
            self._await_head()
        self._inner.data_received(data)
        if self._inner.cycle is not before:
            _cancel(self._head)
            self._head = None

    def eof_received(self) -> bool | None:
        kept: bool | None = self._inner.eof_received()
        return kept

    def pause_writing(self) -> None:
        """More waits to be read than the transport holds."""
        self._inner.pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        _cancel(self._reading)
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head)
        _cancel(self._reading)
        self._inner.connection_lost(exc)

    def _await_head(self) -> None:
        if self._head is None:  # or a client that sends a byte now and then could go on for ever
            self._head = self._loop.call_later(self._seconds, self._transport.close)

    def _await_reading(self) -> None:
        waiting = self._transport.get_write_buffer_size()
        self._reading = self._loop.call_later(self._seconds, self._look_at_reading, waiting)

    def _look_at_reading(self, before: int) -> None:
        if self._transport.get_write_buffer_size() < before:
            self._await_reading()
        else:
            self._transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
