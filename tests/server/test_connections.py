"""Clients that stop in the middle: their connections are closed, and those that are only slow are served."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from unittest.mock import MagicMock

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from uvicorn.protocols.http.h11_impl import H11Protocol

from splade_engine.server import Limits, Settings, connections, create_app
from splade_engine.server.connections import BoundedConnections
from tests.server.running import Running

SECONDS = 0.2
HOST = b"Host: 127.0.0.1\r\n"
WHOLE = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(params=["httptools", "h11"])
def port(request, served, monkeypatch):
    """Of a server that waits 0.2 seconds, over either of uvicorn's protocols."""
    if request.param == "h11":
        monkeypatch.setattr(connections, "AutoHTTPProtocol", H11Protocol)
    else:
        pytest.importorskip("httptools")
    app = create_app([served], Settings(Limits(threads=1, seconds=1)))  # for bodies
    running = Running(app, BoundedConnections(SECONDS))
    yield running.socket.getsockname()[1]
    running.stop()


def heard(port, *parts, pause=0.0):
    """What comes back until the server closes the connection, and after how many seconds it does."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        for part in parts:
            talking.sendall(part)
            time.sleep(pause)
        answer = b""
        while data := talking.recv(1 << 16):
            answer += data
    return answer, time.monotonic() - start


@pytest.mark.parametrize("sent", [b"", b"GE", b"GET /health HTTP/1.1\r\nHo"])
def test_a_head_that_does_not_arrive(port, sent):
    answer, seconds = heard(port, sent)
    assert answer == b""
    assert SECONDS * 0.9 < seconds < 3


def test_a_second_head_that_does_not_arrive(port):
    answer, seconds = heard(port, WHOLE, b"GET /hea", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.count(b"HTTP/1.1") == 1
    assert SECONDS * 0.9 < seconds < 3


def test_a_head_that_comes_byte_by_byte(port):
    def dribbled():
        for byte in WHOLE * 10:
            talking.sendall(bytes([byte]))
            time.sleep(0.02)

    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking, pytest.raises(ConnectionError):
        dribbled()


@pytest.mark.parametrize("port", ["httptools"], indirect=True)
def test_half_a_body_for_agents(port):
    accept = b"POST /mcp HTTP/1.1\r\nAccept: application/json, text/event-stream" + POST[9:] % 100
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        talking.sendall(accept + b'{"json')
        answer = talking.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 1 seconds" in answer


@pytest.mark.parametrize("port", ["httptools"], indirect=True)
def test_a_slow_client_is_served(port):
    body = json.dumps({"query": "sea wind"}).encode()
    parts = [b"POST /search" + POST % len(body) + body[:5], body[5:]]
    with socket.create_connection(("127.0.0.1", port), timeout=3) as talking:
        for _ in range(2):  # longer than the bound in all
            for part in parts:
                talking.sendall(part)
                time.sleep(0.1)
            assert talking.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")


async def long_answer(scope, receive, send):
    """An application that answers with 64 MB at once, more than the system keeps for a client."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(1 << 26)})


def test_an_answer_that_nobody_reads_is_broken_off():
    running = Running(long_answer, BoundedConnections(SECONDS))
    with socket.create_connection(running.socket.getsockname(), timeout=3) as talking:
        talking.sendall(WHOLE)
        until(lambda: running.server.server_state.total_requests or running.server.server_state.connections)
        until(lambda: not running.server.server_state.connections)
    running.stop()


def until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Transport(asyncio.Transport):
    """Holds ever less of an answer, until nothing more is read."""

    def __init__(self, *waiting):
        super().__init__()
        self.waiting, self.aborted = list(waiting), asyncio.Event()

    def get_write_buffer_size(self):
        return self.waiting.pop(0)

    def abort(self):
        self.aborted.set()


def test_slow_reading_is_reading():
    async def read(*waiting, resumed=False):
        transport = Transport(*waiting)
        connection = connections._Connection(MagicMock(), 0.01)
        connection.connection_made(transport)
        connection._head.cancel()
        connection.pause_writing()
        if resumed:
            connection.resume_writing()
            await asyncio.sleep(0.05)
        else:
            await asyncio.wait_for(transport.aborted.wait(), 20)
        return transport

    assert asyncio.run(read(10, 8, 5, 5)).waiting == []
    assert not asyncio.run(read(10, 10, resumed=True)).aborted.is_set()
