"""Connections whose clients stop in the middle or send what is no request.

uvicorn waits for ever for the rest of a request's head, and for a client that does not read its answer;
`timeout_keep_alive` is about the time between requests. `bodies.py` bounds the wait for a body. uvicorn also
keeps a head of any length in memory, tells in plain text what it cannot read, and answers nothing to a client
that has said all that it has to say.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from splade_engine.server.problems import Problem
from splade_engine.server.upgrades import Offers

# bytes of a request's method, address and headers: httptools reads no longer address
LONGEST_HEAD = 1 << 16
_END = b"\r\n\r\n"
_LONG = f"the address and headers of a request may have {LONGEST_HEAD} bytes together; ask for less at a time"
_ENCODED = "; spaces and letters beyond ASCII in an address are percent-encoded"


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
        self._inner.send_400_response = lambda _: self._refuse(400, _no_http())  # uvicorn's own is plain text
        self._loop = asyncio.get_running_loop()
        self._beginning: bytearray | None = bytearray()  # of a head; None: it is complete, and not read yet
        self._offers = Offers()
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Hand on what has arrived, at most `LONGEST_HEAD` bytes at a time.

        Where a body ends, only the parser knows: of a head that begins behind one, the bytes that come in one
        piece with that end are not counted.
        """
        for start in range(0, len(data), LONGEST_HEAD):
            if not self._transport.is_closing():
                self._receive(data[start : start + LONGEST_HEAD])

    def _receive(self, data: bytes) -> None:
        before = self._inner.cycle
        if before is None or before.response_complete:  # the next request begins
            self._await_head()
        if before is None or not before.more_body:
            if self._is_too_long(data):
                self._refuse(431, _LONG)
                return
            data = self._offers.without(data)
            if not data:  # which h11 would take for the end of all that the client says
                return
        self._inner.data_received(data)
        if self._inner.cycle is not before:
            self._beginning = bytearray()
            _cancel(self._head)
            self._head = None

    def eof_received(self) -> bool:
        """The client says no more; whether the connection stays open, for what it has asked completely."""
        cycle = self._inner.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False  # of several requests this is the last
        return True

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
        del self._inner.send_400_response  # which refers to this object, as that does to `_inner`

    def _is_too_long(self, data: bytes) -> bool:
        """Whether a head is, which these bytes begin or go on with."""
        if self._beginning is None:
            return False
        known = len(self._beginning)
        self._beginning += data[: LONGEST_HEAD + len(_END) - known]
        if self._beginning.find(_END, max(0, known - len(_END))) >= 0:
            self._beginning = None
            return False
        return len(self._beginning) > LONGEST_HEAD

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read and close the connection; what was asked before it is answered first."""
        cycle = self._inner.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            if cycle.response_started:
                self._transport.close()
                return
        body = Problem(status, "Validation", message).json(secrets.token_hex(8))
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()

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


def _no_http() -> str:
    """What is told of the error that a parser of uvicorn's has raised, which is being handled."""
    # h11 goes on with the line that it cannot read
    reason = str(sys.exception() or "").partition(": bytearray")[0]
    of_address = any(word in reason for word in ("url", "HTTP/", "request line"))
    return f"this is no request of HTTP/1.1: {reason}{_ENCODED if of_address else ''}"


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
